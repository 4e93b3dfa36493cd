// Package auditor has a system's three places compared: it opens them as the
// configuration of walletd says and runs an audit. walletctl and the tests of the
// whole system use it.
package auditor

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/audit"
	"github.com/walletd/walletd/internal/balance"
	"github.com/walletd/walletd/internal/config"
	"github.com/walletd/walletd/internal/connect"
	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/ledger"
)

// Options say how an audit is run.
type Options struct {
	Wallet uuid.UUID                              // the only one to look at; Nil: all
	Began  func(records int64, done func() int64) // as audit.Config; may be nil
}

const (
	pageTimeout    = 30 * time.Second // of one read of the ledger
	connectTimeout = 5 * time.Second
	requestTimeout = 10 * time.Second
)

// Run audits the system of a configuration. It only reads, and may run beside a
// system at work. The report is nil only if the configuration cannot be used; an
// error beside a report wraps audit.ErrIncomplete.
func Run(ctx context.Context, cfg config.Config, o Options) (*audit.Report, error) {
	log := slog.New(slog.DiscardHandler)
	lc := connect.Ledger(cfg.Postgres)
	lc.CommitConnections, lc.ReadConnections = 1, 1
	lc.ConnectTimeout, lc.CommitTimeout, lc.ReadTimeout, lc.LockTimeout, lc.Log = connectTimeout, pageTimeout, pageTimeout, connectTimeout, log
	l, err := ledger.Open(lc)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	jc, err := connect.Journal(cfg.Kafka)
	if err != nil {
		return nil, err
	}
	jc.AckTimeout, jc.RequestTimeout, jc.Replica, jc.Log = requestTimeout, requestTimeout, uuid.New(), log
	j, err := journal.Open(jc)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	cc, err := connect.Cache(cfg.Redis)
	if err != nil {
		return nil, err
	}
	cc.Timeout, cc.Ledger, cc.Log, cc.Now = connectTimeout, l, log, time.Now
	c := balance.Open(cc)
	defer c.Close()
	return audit.New(audit.Config{Ledger: l, Journal: j, Cache: c, PartitionAmong: journal.PartitionAmong, Wallet: o.Wallet, Began: o.Began}).Run(ctx)
}
