// Command walletd is the wallet service.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is stamped by the build: -ldflags "-X main.version=…".
var version = ""

// The exit codes.
const (
	exitFailed = 1 // it ran and failed
	exitUsage  = 2 // it was called, or configured, wrongly: nothing was started
)

type cli struct {
	Config string `help:"Configuration file; the environment overrides it." default:"config.env" type:"path"`

	Serve       serveCmd       `cmd:"" help:"Run the service against the components that the configuration names."`
	Migrate     migrateCmd     `cmd:"" help:"Bring the ledger's schema to this version, and end."`
	Healthcheck healthcheckCmd `cmd:"" help:"Exit 0 if the service at the configured address is ready, else 1."`
	Version     versionCmd     `cmd:"" help:"Print the version."`

	devCommand
}

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var c cli
	k := kong.Parse(&c, kong.Name("walletd"),
		kong.Description("A wallet service that never drops a request."),
		kong.UsageOnError(), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(&c))
	err := k.Run()
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "walletd:", err)
		return exitUsage
	}
	fmt.Fprintln(os.Stderr, "walletd:", err)
	return exitFailed
}

// usageError is a fault of how walletd was called or configured.
type usageError struct{ error }

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run() error {
	_, err := fmt.Println("walletd", buildVersion())
	return err
}

// buildVersion is the stamped version, or else what the Go tool knows of the build.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
