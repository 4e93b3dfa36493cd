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
	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/ledger"
)

// Options say how an audit is run.
type Options struct {
	Wallet uuid.UUID                              // the only one to look at; Nil: all
	Began  func(records int64, done func() int64) // as audit.Config; may be nil
	Log    *slog.Logger                           // of the components' clients; nil discards
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
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l, err := ledger.Open(ledger.Config{
		DSN: cfg.Postgres.DSN(), CommitConnections: 1, ReadConnections: 1, ConnectTimeout: connectTimeout,
		CommitTimeout: pageTimeout, ReadTimeout: pageTimeout, LockTimeout: connectTimeout, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	j, err := journal.Open(journal.Config{
		Brokers: cfg.Kafka.Brokers, Topic: cfg.Kafka.Topic, Group: cfg.Kafka.Group, Partitions: cfg.Kafka.Partitions,
		Replication: cfg.Kafka.Replication, AckTimeout: requestTimeout, RequestTimeout: requestTimeout,
		SessionTimeout: cfg.Kafka.SessionTimeout, Replica: uuid.New(), Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	defer j.Close()
	c := balance.Open(balance.Config{
		Address: cfg.Redis.Address, Username: cfg.Redis.Username, Password: string(cfg.Redis.Password),
		Timeout: connectTimeout, TTL: cfg.Redis.TTL, Ledger: l, Log: o.Log, Now: time.Now,
	})
	defer c.Close()
	return audit.New(audit.Config{Ledger: l, Journal: j, Cache: c, Wallet: o.Wallet, Began: o.Began}).Run(ctx)
}
