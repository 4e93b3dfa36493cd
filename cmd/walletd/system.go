package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/walletd/walletd/internal/accept"
	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/balance"
	"github.com/walletd/walletd/internal/config"
	"github.com/walletd/walletd/internal/connect"
	"github.com/walletd/walletd/internal/httpapi"
	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

// system is one replica of walletd, whole: `walletd serve` and `walletd dev` each
// run one.
type system struct {
	Replica   uuid.UUID
	addresses addresses // where it listens, from Start on

	cfg      config.Config
	log      *slog.Logger
	metrics  *prometheus.Registry
	ledger   *ledger.Ledger
	journal  *journal.Journal
	balances *balance.Cache
	applier  *applier.Applier
	intake   *accept.Intake
	servers  *servers
	disks    *disks

	stopping   atomic.Bool
	cancel     context.CancelFunc
	background sync.WaitGroup
}

const (
	kafkaRequestTimeout = 3 * time.Second
	directTimeout       = 15 * time.Second
	maxDirtyBalances    = 100_000
	maxListLength       = 10_000 // entries of one requeued list; at it new requests of the wallet get 429
)

// newSystem puts a replica together. Nothing is connected yet: every component
// may be absent.
func newSystem(cfg config.Config, log *slog.Logger) (*system, error) {
	s := &system{Replica: uuid.New(), cfg: cfg, log: log, metrics: prometheus.NewRegistry()}
	s.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := s.assemble(); err != nil {
		s.closeComponents()
		return nil, err
	}
	return s, nil
}

func (s *system) assemble() (err error) {
	if s.ledger, err = openLedger(s.cfg, s.log); err != nil {
		return err
	}
	if s.journal, err = s.openJournal(); err != nil {
		return err
	}
	if s.balances, err = s.openBalances(); err != nil {
		return err
	}
	s.applier = applier.New(applier.Config{
		Ledger: s.ledger, Journal: s.journal, Announcer: s, Limits: applierLimits(s.cfg),
		Log: s.log, Registerer: s.metrics, Now: time.Now,
	})
	s.intake = accept.New(accept.Config{
		Journal: s.journal, Ledger: s.ledger, Balances: s.balances, Applier: s.applier,
		Limits:     acceptLimits(s.cfg),
		BalanceTTL: s.cfg.Redis.TTL, Log: s.log, Now: time.Now,
	})
	s.observe()
	s.disks = newDisks(s.metrics)
	s.servers, err = s.newServers()
	return err
}

// closeComponents closes the connections of what was opened.
func (s *system) closeComponents() {
	if s.journal != nil {
		s.journal.Close()
	}
	if s.balances != nil {
		s.balances.Close()
	}
	if s.ledger != nil {
		s.ledger.Close()
	}
}

// applierLimits leave room to count what accepting lets in: requests that are under
// way when their bound is met follow.
func applierLimits(cfg config.Config) applier.Limits {
	l := applier.DefaultLimits()
	l.DirectCommits = max(1, int(cfg.Postgres.CommitConnections)-workerConnections-applier.HeldCommits)
	l.UnsettledPerWallet = max(l.UnsettledPerWallet, 2*cfg.WalletOperations+wallet.MaxRecordOperations)
	l.Unsettled = max(l.Unsettled, 2*cfg.Operations+wallet.MaxRecordOperations)
	return l
}

// workerConnections are those to the ledger that the direct way leaves to the workers.
const workerConnections = 2

// acceptLimits let a request wait while the unanswered ones of its wallet are at most half as
// many as the connections, and those of all at most three quarters.
func acceptLimits(cfg config.Config) accept.Limits {
	return accept.Limits{WalletOperations: cfg.WalletOperations, Operations: cfg.Operations, DirectTimeout: directTimeout, ListLength: maxListLength,
		WalletWaits: max(1, cfg.Connections/2), Waits: max(1, cfg.Connections*3/4)}
}

func (s *system) openJournal() (*journal.Journal, error) {
	c, err := connect.Journal(s.cfg.Kafka)
	if err != nil {
		return nil, err
	}
	c.RequestTimeout, c.Replica, c.Log = kafkaRequestTimeout, s.Replica, s.log
	return journal.Open(c)
}

func (s *system) openBalances() (*balance.Cache, error) {
	c, err := connect.Cache(s.cfg.Redis)
	if err != nil {
		return nil, err
	}
	c.MaxDirty, c.Replica, c.Ledger, c.Log, c.Now = maxDirtyBalances, s.Replica, s.ledger, s.log, time.Now
	return balance.Open(c), nil
}

// Start listens and begins to connect. An address in use is an error that names
// its variable.
func (s *system) Start() error {
	if err := s.servers.listen(); err != nil {
		s.Close(0, s.cfg.ShutdownTimeout)
		return err
	}
	s.addresses = s.servers.addresses()
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.background.Go(func() { s.ledger.Run(ctx) })
	s.background.Go(func() { s.migrate(ctx) })
	s.background.Go(func() { s.balances.Run(ctx, s.announced) })
	s.background.Go(func() { s.intake.Run(ctx) })
	s.background.Go(func() { s.measure(ctx) })
	s.journal.Start(s.ledger, s.applier)
	s.servers.serve()
	return nil
}

// migrate migrates the ledger as soon as PostgreSQL answers.
func (s *system) migrate(ctx context.Context) {
	for last := ""; ; {
		applied, err := s.ledger.Migrate(ctx)
		if err == nil {
			s.log.Info("ledger schema is up to date", "applied", len(applied))
			s.ledger.Suspect()
			return
		}
		if err.Error() != last && ctx.Err() == nil {
			last = err.Error()
			s.log.Warn("ledger not migrated yet", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// Announce implements applier.Announcer. The cache comes first: who is told an
// outcome finds it in the balance.
func (s *system) Announce(ctx context.Context, c wallet.Committed) {
	s.balances.Announce(ctx, c)
	s.intake.Complete(c.Operations())
}

// announced takes in what another replica has committed of this one's requests.
func (s *system) announced(ops []wallet.Operation) {
	s.applier.Settle(ops)
	s.intake.Complete(ops)
}

// Close stops the replica, in this order: it says that it is unready; it accepts
// nothing more while requests that wait get their outcome, or 202; it gives its
// partitions up, each after the running commit; it closes its connections. After
// timeout requests that still run are cut off.
func (s *system) Close(delay, timeout time.Duration) {
	s.stopping.Store(true)
	time.Sleep(delay)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := s.shutRequests(ctx); err != nil {
		s.log.Error("requests were cut off", "error", err)
	}
	s.journal.Close()
	s.applier.Close()
	if s.cancel != nil {
		s.cancel()
	}
	s.background.Wait()
	s.balances.Close()
	s.ledger.Close()
}

func (s *system) shutRequests(ctx context.Context) error {
	drained, stop := context.WithCancel(ctx)
	var draining sync.WaitGroup
	draining.Go(func() { s.intake.Drain(drained) })
	err := s.servers.shutdown(ctx)
	stop()
	draining.Wait()
	return err
}

// Ready implements httpapi.Health: writes can be accepted if the journal or the
// ledger takes them. A partition that has lost its end makes nobody unready: every replica
// would be, also for the reads and for the other partitions' writes.
func (s *system) Ready() bool {
	return !s.stopping.Load() && (s.journal.Writable() || s.ledger.Err() == nil)
}

// Components implements httpapi.Health.
func (s *system) Components() []httpapi.Component {
	return []httpapi.Component{
		component("postgres", reason(s.ledger.Err())),
		component("kafka", reason(s.journal.Available()), s.applier.Stopped()),
		component("redis", reason(s.balances.Err())),
	}
}

func component(name string, faults ...error) httpapi.Component {
	err := errors.Join(faults...)
	c := httpapi.Component{Name: name, Up: err == nil}
	if err != nil {
		c.Detail = err.Error()
	}
	return c
}
