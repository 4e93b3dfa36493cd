// Package ledger keeps wallets and operations in PostgreSQL. All SQL is here.
//
// Everything is READ COMMITTED. What a batch relies on is in its own conditions:
// the partition's offset, each wallet's version, each operation's key.
package ledger

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walletd/walletd/internal/breaker"
	"github.com/walletd/walletd/internal/wallet"
)

// Config says where the ledger is and how long it may take.
type Config struct {
	DSN string // a PostgreSQL connection string

	CommitConnections int32         // for batches, the direct way's too, and what they and an audit read by key
	ReadConnections   int32         // for everything else, small writes too, so that no reading can starve batches
	ConnectTimeout    time.Duration // of one connection attempt
	CommitTimeout     time.Duration // of one batch; a commit that takes longer has an unknown outcome
	ReadTimeout       time.Duration // of one read
	Log               *slog.Logger
	LockTimeout       time.Duration // how long a batch waits for a row that somebody holds
}

// Ledger is the PostgreSQL ledger. Safe for concurrent use. While the breaker is
// open, what a request asks fails at once; batches, and what workers and operators ask,
// always try, for they have nothing else to do.
type Ledger struct {
	*breaker.Breaker
	config     Config
	commits    connections
	joint      joint
	reads      connections
	asked      connections // the same, for what requests ask
	wallets    coalescer[uuid.UUID, wallet.Wallet]
	operations coalescer[wallet.Key, wallet.Operation]
	probes     *pgxpool.Pool // one connection that no load can occupy
}

// The breaker's probes.
const (
	probeInterval = 500 * time.Millisecond
	probeTimeout  = time.Second
)

// Open prepares a ledger. It does not connect: PostgreSQL may be absent, and
// every call then fails with wallet.ErrUnavailable. Only a malformed DSN is an
// error. The breaker's Run has to be running for the ledger to be read.
func Open(cfg Config) (*Ledger, error) {
	l := &Ledger{config: cfg}
	l.wallets.read, l.operations.read = l.lookUpWallets, l.lookUpOperations
	l.joint.expected = map[int32]bool{}
	l.joint.overtakeAfter.Store(int64(maxJointWait))
	l.joint.expectFor.Store(int64(maxExpectedWait))
	l.Breaker = breaker.New(breaker.Config{Name: "PostgreSQL", Probe: l.ping, Interval: probeInterval, Timeout: probeTimeout, Log: cfg.Log})
	always := func() error { return nil }
	l.commits = connections{timeout: cfg.CommitTimeout, down: always, heed: l.heed}
	l.reads = connections{timeout: cfg.ReadTimeout, down: always, heed: l.heed}
	var err, rerr, perr error
	l.commits.pool, err = openPool(cfg, cfg.CommitConnections, cfg.CommitTimeout, map[string]string{
		"lock_timeout": milliseconds(cfg.LockTimeout),
		// A batch names its rows by key. With these a generic plan is an index plan,
		// whatever the statistics say of a table that was empty a minute ago.
		"plan_cache_mode":  "force_generic_plan",
		"enable_seqscan":   "off",
		"enable_hashjoin":  "off",
		"enable_mergejoin": "off",
	})
	// A partition that was empty when it was vacuumed costs nothing to scan, the statistics
	// say; and with scans a page is sorted out of all that its range may hold.
	l.reads.pool, rerr = openPool(cfg, cfg.ReadConnections, cfg.ReadTimeout, map[string]string{"enable_seqscan": "off"})
	l.asked = connections{pool: l.reads.pool, timeout: cfg.ReadTimeout, down: l.Err, heed: l.heed}
	l.probes, perr = openPool(cfg, 1, probeTimeout, nil)
	if err := errors.Join(err, rerr, perr); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Close closes all connections, waiting for calls under way: no longer than a
// commit may take, for a server that hangs is not worth waiting for, and the pools
// would for a quarter of a minute each.
func (l *Ledger) Close() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for _, p := range []*pgxpool.Pool{l.commits.pool, l.reads.pool, l.probes} {
			if p != nil {
				p.Close()
			}
		}
	}()
	timer := time.NewTimer(l.config.CommitTimeout)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
	}
}

// ping reports whether PostgreSQL answers, accepts writes and has our schema.
func (l *Ledger) ping(ctx context.Context) error {
	var readOnly bool
	err := l.probes.QueryRow(ctx, `
		SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool FROM (SELECT count(*) FROM journal) AS migrated`).Scan(&readOnly)
	if err == nil && readOnly {
		err = errors.New("the server is read-only")
	}
	return classify(err)
}

// heed returns a call's error as one of wallet's kinds; one that says that PostgreSQL is not
// there has the breaker look at once.
func (l *Ledger) heed(err error) error {
	if err = classify(err); errors.Is(err, wallet.ErrUnavailable) {
		l.Suspect()
	}
	return err
}
