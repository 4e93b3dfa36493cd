package applier_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

const patience = embeddedtest.Patience

// world is a journal, a ledger and the replicas that stand on both.
type world struct {
	t      testing.TB
	log    *simtest.Log
	ledger applier.Ledger
	books  func() simtest.Books

	mu       sync.Mutex
	direct   map[wallet.Key]bool
	replicas []*replica
}

// replica is one applier with its own view of the world.
type replica struct {
	*applier.Applier
	*world
	journal *simtest.Journal
	told    *simtest.Told
	limits  applier.Limits
}

func newMemoryWorld(t testing.TB, partitions int) *world {
	log := simtest.NewLog(partitions)
	l := simtest.NewLedger(log)
	return &world{t: t, log: log, ledger: l, books: l.Books, direct: map[wallet.Key]bool{}}
}

// limits are the production's, with waits that a test can afford.
func limits() applier.Limits {
	l := applier.DefaultLimits()
	l.KeeperInterval, l.MinRequeueDelay, l.MaxRequeueDelay = 5*time.Millisecond, 20*time.Millisecond, 100*time.Millisecond
	l.MinPause, l.MaxPause = 2*time.Millisecond, 50*time.Millisecond
	return l
}

// replica adds a replica; what changes its limits or stands before its ledger is
// given as options.
func (w *world) replica(options ...func(*replica, *applier.Config)) *replica {
	r := &replica{world: w, journal: simtest.NewJournal(w.log), told: simtest.NewTold()}
	cfg := applier.Config{
		Ledger: w.ledger, Journal: r.journal, Announcer: r.told, Limits: limits(),
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: time.Now,
	}
	for _, option := range options {
		option(r, &cfg)
	}
	r.limits = cfg.Limits
	r.Applier = applier.New(cfg)
	r.journal.Applier = r.Applier
	w.replicas = append(w.replicas, r)
	w.t.Cleanup(r.close)
	return r
}

func (r *replica) close() {
	r.journal.Close()
	r.Close()
}

func withLimits(change func(*applier.Limits)) func(*replica, *applier.Config) {
	return func(_ *replica, c *applier.Config) { change(&c.Limits) }
}

// withFaults puts faults before the replica's ledger.
func withFaults(next func(simtest.Call) simtest.Fault) func(*replica, *applier.Config) {
	return func(_ *replica, c *applier.Config) { c.Ledger = &simtest.Faulty{Ledger: c.Ledger, Next: next} }
}

// blocking has each commit say that it is under way, and wait to be released.
func blocking(committing chan<- struct{}, release <-chan struct{}) func(*replica, *applier.Config) {
	return withFaults(func(c simtest.Call) simtest.Fault {
		if c.Method == "Commit" {
			committing <- struct{}{}
			<-release
		}
		return simtest.None
	})
}

// owning is a replica that becomes the owner of all partitions.
func (w *world) owning(options ...func(*replica, *applier.Config)) *replica {
	r := w.replica(options...)
	for p := range w.log.Partitions() {
		r.journal.Own(int32(p))
	}
	return r
}

// awaitOwned waits until the replica owns all partitions.
func (r *replica) awaitOwned() {
	r.t.Helper()
	for p := range r.log.Partitions() {
		eventually(r.t, "the partition has an owner", func() bool { return r.Owns(int32(p)) })
	}
}

var epoch = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

func deposit(id uuid.UUID, amount wallet.Amount) wallet.Operation {
	return wallet.Operation{ID: uuid.New(), WalletID: id, Type: wallet.Deposit, Amount: amount, AcceptedAt: epoch, Receipt: wallet.NoReceipt}
}

func withdraw(id uuid.UUID, amount wallet.Amount) wallet.Operation {
	op := deposit(id, amount)
	op.Type = wallet.Withdraw
	return op
}

// append puts a record into the journal, with no replica acknowledging it.
func (w *world) append(ops ...wallet.Operation) wallet.Record {
	return w.log.Append(simtest.Record(uuid.New(), ops...))
}

// created is a new wallet that the ledger has.
func (w *world) created() uuid.UUID {
	w.t.Helper()
	id := uuid.New()
	if err := w.ledger.Commit(context.Background(), &wallet.Batch{Creates: []wallet.Creation{{ID: id, At: epoch}}}); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// create is a record that creates a wallet.
func create(id uuid.UUID) wallet.Record {
	return wallet.Record{Kind: wallet.KindCreate, WalletID: id, Operations: []wallet.Operation{{ID: id, WalletID: id, AcceptedAt: epoch}}}
}

// outcome waits until the replica tells an operation's.
func (r *replica) outcome(op wallet.Operation) wallet.Operation {
	r.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		done, ok, changed := r.told.Outcome(op.Key())
		if ok {
			return done
		}
		select {
		case <-changed:
		case <-deadline.C:
			r.t.Fatalf("nobody was told of %s %d", op.Type, op.Amount)
		}
	}
}

// tryDirect goes the direct way; whatever it answers, the operation was handed over.
func (r *replica) tryDirect(ctx context.Context, op wallet.Operation) (wallet.Operation, error) {
	r.mu.Lock()
	r.direct[op.Key()] = true
	r.mu.Unlock()
	done, err := r.Direct(ctx, op)
	if err != nil {
		return op, err
	}
	return done[0], nil
}

func (r *replica) mustDirect(op wallet.Operation) wallet.Operation {
	r.t.Helper()
	done, err := r.tryDirect(context.Background(), op)
	if err != nil {
		r.t.Errorf("direct: %v", err)
	}
	return done
}

// wait waits for a signal.
func wait(t testing.TB, what string, signal <-chan struct{}) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	select {
	case <-signal:
	case <-deadline.C:
		t.Fatalf("waited in vain: %s", what)
	}
}

func (w *world) audit(settled bool) []string {
	w.mu.Lock()
	direct := maps.Clone(w.direct)
	w.mu.Unlock()
	told := make([]*simtest.Told, len(w.replicas))
	for i, r := range w.replicas {
		told[i] = r.told
	}
	audit := simtest.Audit{Log: w.log, Books: w.books(), Direct: direct, Told: told, Settled: settled}
	return audit.Faults()
}

// settle waits until everything came to its end and shows what an audit finds.
func (w *world) settle() simtest.Books {
	w.t.Helper()
	w.await("the ledger reaches the journal's end", func(b simtest.Books) bool {
		for p := range w.log.Partitions() {
			if b.Offsets[int32(p)] != w.log.End(int32(p)) {
				return false
			}
		}
		return len(b.Entries) == 0
	})
	for _, r := range w.replicas {
		r.close() // what was committed is told by then
	}
	w.clean()
	return w.books()
}

func (w *world) await(what string, ok func(simtest.Books) bool) {
	w.t.Helper()
	eventually(w.t, what, func() bool { return ok(w.books()) })
}

// clean fails the test if an audit finds anything.
func (w *world) clean() {
	w.t.Helper()
	for _, fault := range w.audit(false) {
		w.t.Error(fault)
	}
}

// history is a wallet's numbered operations.
func history(b simtest.Books, id uuid.UUID) []wallet.Operation {
	var ops []wallet.Operation
	for _, op := range b.Operations {
		if op.WalletID == id && op.Sequence > 0 {
			ops = append(ops, op)
		}
	}
	slices.SortFunc(ops, func(x, y wallet.Operation) int { return int(x.Sequence - y.Sequence) })
	return ops
}

// wantHistory checks that a wallet's operations are these, in this order.
func wantHistory(t testing.TB, b simtest.Books, id uuid.UUID, want ...wallet.Operation) {
	t.Helper()
	got := history(b, id)
	if !slices.EqualFunc(got, want, wallet.Operation.SameRequest) {
		t.Errorf("wallet %s has %d operations, want %d in this order:\n%+v\n%+v", id, len(got), len(want), got, want)
	}
}
