// Package importer replays bank statements: a wallet per account, an operation
// per row. Its keys come from the import's name and the file's own ids, so an
// import may be stopped anywhere and run again: nothing is applied twice.
package importer

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/walletd/walletd/cmd/walletctl/internal/api"
	"github.com/walletd/walletd/cmd/walletctl/internal/statement"
	"github.com/walletd/walletd/internal/wallet"
)

// Config says how to import.
type Config struct {
	Name        string        // tells this import's keys from those of others
	Concurrency int           // accounts in flight
	GiveUpAfter time.Duration // without any answer that settles a request
	// Tolerance is by how much a balance may differ from the file's, for each row
	// of the account so far: a bank that rounds every row drifts by that much.
	Tolerance wallet.Amount
}

// Importer is one run.
type Importer struct {
	api      *api.Client
	config   Config
	patience *patience
	accepted atomic.Int64
}

// New returns a run that has not begun.
func New(client *api.Client, config Config) *Importer {
	return &Importer{api: client, config: config, patience: newPatience(config.GiveUpAfter)}
}

// Accepted returns how many rows the service has answered for. It may be called
// while Run runs.
func (im *Importer) Accepted() int64 { return im.accepted.Load() }

// Run sends the statement's rows, each account's in order, and returns what became
// of them. When ctx ends, or patience, or when the service refuses to make a
// wallet, no more is sent and the requests under way are waited for; the error
// says which, and the report is of what is known.
func (im *Importer) Run(ctx context.Context, s *statement.Statement) (*Report, error) {
	start := time.Now()
	im.patience.progress()
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	results := make([]AccountReport, len(s.Accounts))
	next := make(chan int)
	var senders sync.WaitGroup
	for range min(im.config.Concurrency, len(s.Accounts)) {
		senders.Go(func() {
			for i := range next {
				results[i] = im.send(running, stop, s.Accounts[i], s.HasBalances)
			}
		})
	}
	for i := range s.Accounts {
		next <- i // a stopped run drains these at once, with nothing sent
	}
	close(next)
	senders.Wait()
	report := summarize(im.config, s, results)
	report.Seconds = time.Since(start).Seconds()
	return report, ended(running)
}

func (im *Importer) send(ctx context.Context, stop context.CancelCauseFunc, a statement.Account, compare bool) AccountReport {
	run := newAccount(im, a, compare)
	if err := run.run(ctx); err != nil && ctx.Err() == nil {
		stop(err)
	}
	return run.finish()
}

// ended returns why a run stopped before its end, or nil.
func ended(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		if errors.Is(err, context.Canceled) {
			return ErrInterrupted
		}
		return err
	}
	return nil
}

// ErrInterrupted is the end of a run whose context ended.
var ErrInterrupted = errors.New("interrupted")
