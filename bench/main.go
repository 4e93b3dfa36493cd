// Command bench measures walletd side by side with an empty handler of the same
// HTTP stack and with two usual ways of keeping a balance, in one run, on real
// components that it starts itself. Figures of what keeps something are of applied
// operations, checked against the ledger. docs/performance.md has the method.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type cli struct {
	Run      runCommand      `cmd:"" default:"withargs" help:"Measure everything, in turn and repeated (default)."`
	Growth   growthCommand   `cmd:"" help:"Print how cost, latency and memory grow with operations, wallets and a backlog."`
	Profile  profileCommand  `cmd:"" help:"Print what the processor time of an operation is spent on, by process, part and function. Needs perf, and the right to look at all processes."`
	Markdown markdownCommand `cmd:"" help:"Print the tables of a results.json as a document has them."`
	Serve    serveCommand    `cmd:"" hidden:"" help:"Serve a rival."`
}

// exitUsage is the status of a wrong command line.
const exitUsage = 2

func main() {
	var c cli
	parser := kong.Must(&c, kong.Name("bench"), kong.UsageOnError(), kong.Exit(func(code int) { os.Exit(min(code, exitUsage)) }), kong.Description(
		"Measures walletd against an empty handler and against usual ways to keep a balance. Exit 0: measured and every count right; 1: not, or with --strict a target is missed; 2: a wrong command line."))
	command, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
