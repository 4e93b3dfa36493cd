// Command walletd is the wallet service.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/walletd/walletd/internal/build"
)

const description = `A wallet service that never drops a request.

Exit codes:

    0    done, or ended by a signal
    1    it ran and failed
    2    the command line or the configuration is wrong; nothing was started`

// The exit codes.
const (
	exitFailed = 1 // it ran and failed
	exitUsage  = 2 // it was called, or configured, wrongly: nothing was started
)

type cli struct {
	Config      string           `type:"path" placeholder:"FILE" help:"Configuration file; the environment overrides it. Default: config.env, if there is one."`
	ShowVersion kong.VersionFlag `name:"version" help:"Print the version, and end."`

	Serve       serveCommand       `cmd:"" help:"Run the service against the components that the configuration names."`
	Migrate     migrateCommand     `cmd:"" help:"Bring the ledger's schema to this version, and end."`
	Healthcheck healthcheckCommand `cmd:"" help:"Exit 0 if the service at the configured address is ready, else 1."`
	Version     versionCommand     `cmd:"" help:"Print the version."`

	devCommands
}

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var c cli
	parser := kong.Must(&c, kong.Name("walletd"), kong.Description(description),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(&c), kong.Vars{"version": "walletd " + build.Version()})
	command, err := parser.Parse(os.Args[1:])
	if err != nil {
		err = usageError{err}
	} else {
		err = command.Run()
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "walletd:", err)
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// usageError is a fault of how walletd was called or configured.
type usageError struct{ error }

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run() error {
	_, err := fmt.Println("walletd", build.Version())
	return err
}
