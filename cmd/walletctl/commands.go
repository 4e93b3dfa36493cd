package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/alecthomas/kong"

	"github.com/walletd/walletd/cmd/walletctl/internal/api"
	"github.com/walletd/walletd/internal/build"
)

// commands is the command line.
type commands struct {
	flags

	Create      createCommand     `cmd:"" help:"Make a wallet."`
	Deposit     depositCommand    `cmd:"" help:"Put money into a wallet."`
	Withdraw    withdrawCommand   `cmd:"" help:"Take money out of a wallet."`
	Balance     balanceCommand    `cmd:"" help:"Show a wallet."`
	Operation   operationCommand  `cmd:"" help:"Show one operation."`
	Operations  operationsCommand `cmd:"" help:"Show a wallet's operations, newest first."`
	Import      importCommand     `cmd:"" help:"Replay a bank statement (CSV): a wallet per account, an operation per row."`
	Bench       benchCommand      `cmd:"" help:"Put load on new wallets and prove the outcome from their histories."`
	ShowVersion versionCommand    `cmd:"" name:"version" help:"Print the version, and end."`

	Dlq           dlqCommands          `cmd:"" group:"operators" help:"Records that did not decode: list, show, replay, discard."`
	Requeued      requeuedCommands     `cmd:"" group:"operators" help:"Wallets that were set aside: list, release."`
	Journal       journalCommands      `cmd:"" group:"operators" help:"The journal beside the ledger: status, accept-topic."`
	Interventions interventionsCommand `cmd:"" group:"operators" help:"Show what operators did, newest first."`
	Audit         auditCommand         `cmd:"" group:"operators" help:"Compare journal, ledger and cache, and list every difference."`
}

type versionCommand struct{}

// Run prints the version, as --version does.
func (versionCommand) Run(s *screen) error {
	_, err := fmt.Fprintln(s.out, build.Version())
	return err
}

// flags are those of every command.
type flags struct {
	URL     string           `name:"url" env:"WALLETCTL_URL" default:"http://127.0.0.1:8080" help:"Where walletd is."`
	JSON    bool             `name:"json" help:"Print JSON for programs, with the member names of the API."`
	Version kong.VersionFlag `help:"Print the version, and end."`
	Timeout time.Duration    `default:"40s" help:"Of each request, its wait for an outcome included."`
}

// screen is what a command runs with.
type screen struct {
	ctx      context.Context // ends with ctrl-C
	in       io.Reader
	out, err io.Writer
	terminal bool // err is one
	flags    *flags
}

func (s *screen) client() (*api.Client, error) {
	client, err := api.New(s.flags.URL, s.flags.Timeout)
	if err != nil {
		return nil, &failure{exitUsage, err}
	}
	return client, nil
}
