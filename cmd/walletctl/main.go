// Command walletctl is the client of walletd for people and scripts: it makes
// wallets, moves and shows money, imports bank statements, and puts load on a
// service and proves that it kept its promises.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/walletd/walletd/internal/build"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, term.IsTerminal(int(os.Stderr.Fd())))
	stop()
	os.Exit(code)
}

// run parses and carries out one command and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, terminal bool) (code int) {
	defer func() {
		switch cause := recover().(type) {
		case nil:
		case exited:
			code = int(cause)
		default:
			panic(cause)
		}
	}()
	var cli commands
	parser := kong.Must(&cli, kong.Name("walletctl"), kong.Description(description), kong.Vars{"version": build.Version()},
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ExplicitGroups([]kong.Group{{Key: "operators", Title: "For operators, next to walletd's PostgreSQL and Kafka:"}}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}))
	command, err := parser.Parse(args)
	if err == nil {
		screen := &screen{ctx: ctx, in: stdin, out: stdout, err: stderr, terminal: terminal, flags: &cli.flags}
		err = command.Run(screen)
	} else {
		err = &failure{exitUsage, err}
	}
	return report(stderr, interrupted(ctx, err))
}

// exited is how kong ends after --help; a panic, since kong goes on otherwise.
type exited int
