package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/walletd/walletd/cmd/walletctl/internal/importer"
	"github.com/walletd/walletd/cmd/walletctl/internal/progress"
	"github.com/walletd/walletd/cmd/walletctl/internal/statement"
	"github.com/walletd/walletd/internal/wallet"
)

// importCommand replays a file.
type importCommand struct {
	File string `arg:"" type:"existingfile" help:"CSV with a header; - is standard input. It is checked as a whole before anything is sent."`
	Name string `required:"" placeholder:"NAME" help:"The import's name: with it an account is the same wallet and an id the same operation, which is applied once, in this file and in every other. Another name makes other wallets."`

	ID       string `name:"id" default:"transaction_id" placeholder:"COLUMN" help:"Column of the row's id, unique in the file (default ${default})."`
	Account  string `default:"account" placeholder:"COLUMN" help:"Column of the account (default ${default})."`
	Type     string `default:"operation_type" placeholder:"COLUMN" help:"Column of the type (default ${default})."`
	Amount   string `default:"amount" placeholder:"COLUMN" help:"Column of the amount in minor units (default ${default})."`
	Balance  string `placeholder:"COLUMN" help:"Column of the account's balance after the row, to compare with. Default: none."`
	Deposit  string `name:"deposit-value" default:"DEPOSIT" placeholder:"VALUE" help:"Value of the type column that means DEPOSIT (default ${default})."`
	Withdraw string `name:"withdraw-value" default:"WITHDRAW" placeholder:"VALUE" help:"Value that means WITHDRAW (default ${default})."`

	Tolerance   int64         `default:"0" placeholder:"UNITS" help:"How far a balance may be from the file's, for each row of the account so far: n rows in, n times this (default ${default})."`
	Concurrency int           `default:"64" help:"Accounts in flight; the rows of one account go one after the other."`
	GiveUpAfter time.Duration `default:"2m" help:"Stop when nothing was answered for this long; until then 429, 5xx and lost connections are tried again."`
	Report      string        `placeholder:"FILE" help:"Write the full report, as .json or .csv."`
}

// Validate is kong's.
func (c *importCommand) Validate() error {
	switch {
	case c.Name == "":
		return errors.New("--name must not be empty")
	case c.Deposit == c.Withdraw:
		return errors.New("--deposit-value and --withdraw-value must differ")
	case c.Concurrency < 1 || c.Concurrency > 10_000:
		return errors.New("--concurrency must be from 1 to 10000")
	case c.Tolerance < 0 || wallet.Amount(c.Tolerance) > wallet.MaxAmount:
		return errors.New("--tolerance must not be negative, nor above the largest amount")
	case c.Report != "" && reportFormats[filepath.Ext(c.Report)] == nil:
		return errors.New("--report must end in .json or .csv")
	}
	return nil
}

// Run is kong's.
func (c *importCommand) Run(s *screen) error {
	file, err := c.read(s.in)
	if err != nil {
		return err
	}
	out, err := createReport(c.Report)
	if err != nil {
		return &failure{exitUsage, err}
	}
	defer out.discard()
	client, err := s.client()
	if err != nil {
		return err
	}
	run := importer.New(client, importer.Config{Name: c.Name, Concurrency: c.Concurrency,
		GiveUpAfter: c.GiveUpAfter, Tolerance: wallet.Amount(c.Tolerance)})
	stop := progress.Start(progress.Options{To: s.err, Terminal: s.terminal, Title: "import", Unit: "rows",
		Total: int64(file.Rows)}, run.Accepted)
	stopWatching := context.AfterFunc(s.ctx, func() {
		fmt.Fprintln(s.err, "\nInterrupted: what was sent is waited for; ctrl-C again ends at once.")
	})
	report, stopped := run.Run(s.ctx, file)
	stopWatching()
	stop()
	if stopped != nil {
		report.Stopped = stopped.Error()
	}
	return errors.Join(out.write(report), s.showImport(report, stopped))
}

// read reads and checks the whole file, or standard input.
func (c *importCommand) read(in io.Reader) (*statement.Statement, error) {
	from := in
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return nil, &failure{exitUsage, err}
		}
		defer file.Close()
		from = file
	}
	s, err := statement.Read(from, statement.Columns{ID: c.ID, Account: c.Account, Type: c.Type, Amount: c.Amount,
		Balance: c.Balance, Deposit: c.Deposit, Withdraw: c.Withdraw})
	if err != nil {
		return nil, &failure{exitUsage, fmt.Errorf("%s: nothing was sent:\n%w", c.File, err)}
	}
	return s, nil
}
