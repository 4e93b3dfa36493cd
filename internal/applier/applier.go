// Package applier carries the journal to the ledger. Each partition that this
// replica owns has one worker; a worker takes what has arrived, decides it in
// order against its lanes, and commits it as one batch. While the journal cannot
// be written, the direct way applies operations through the same lanes.
//
// Owning a partition is an optimisation. What makes an operation happen exactly
// once, in order, is in the batch itself: the conditional offset, the conditional
// versions and the operations' keys.
package applier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/wallet"
)

// Config is what an Applier is made of.
type Config struct {
	Ledger    Ledger
	Journal   Journal
	Announcer Announcer
	Limits    Limits
	Log       *slog.Logger
	Now       func() time.Time

	Registerer prometheus.Registerer // of its metrics; one Applier for each
}

// Applier owns the lanes and the workers. Safe for concurrent use.
type Applier struct {
	Config
	metrics    *metrics
	lanes      *lanes
	ledgerNext watermarks

	ctx    context.Context // ends with Close, while mu is held
	cancel context.CancelFunc

	mu      sync.Mutex
	workers map[int32]*worker
	stopped map[int32]error

	progressed chan struct{} // holds one token: a worker has reached an offset, or is no more

	direct    sync.WaitGroup // the direct way's goroutines, one for each wallet in use
	turns     chan struct{}  // holds one for each direct batch under way
	heldTurns chan struct{}  // the same of those whose row was held by somebody when it was last tried
}

// New returns an Applier that owns no partition yet. Close ends it.
func New(cfg Config) *Applier {
	a := &Applier{
		Config: cfg, metrics: newMetrics(cfg.Registerer), lanes: newLanes(cfg.Limits.Lanes),
		workers: map[int32]*worker{}, stopped: map[int32]error{}, progressed: make(chan struct{}, 1),
		turns: make(chan struct{}, cfg.Limits.DirectCommits), heldTurns: make(chan struct{}, HeldCommits),
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	cfg.Registerer.MustRegister(gauges{a})
	return a
}

// Assigned makes this replica the owner of a partition and returns the offset to
// read it from, the ledger's. It waits until the ledger answers or ctx ends. A
// refusal stops the partition until it is assigned again: it is an error to be shown
// to an operator, nothing of the partition may be fetched, and the next one has its turn.
func (a *Applier) Assigned(ctx context.Context, topic uuid.UUID, partition int32) (int64, error) {
	a.Revoked(partition)
	progress, err := a.readProgress(ctx, topic, partition, wallet.ErrTopicChanged, wallet.ErrRefused)
	if err != nil {
		if ctx.Err() == nil {
			a.markStopped(partition, err)
		}
		return 0, err
	}
	w := newWorker(a, topic, partition, progress)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ctx.Err() != nil {
		return 0, errors.New("the applier is closed")
	}
	delete(a.stopped, partition)
	a.workers[partition] = w
	w.start()
	return progress.Next, nil
}

// readProgress reads a partition's offset and lists, as often as it takes: until it has
// them, or one of the final errors.
func (a *Applier) readProgress(ctx context.Context, topic uuid.UUID, partition int32, final ...error) (wallet.Progress, error) {
	said := ""
	for pause := newPause(a.Limits); ; {
		p, err := a.Ledger.Partition(ctx, topic, partition)
		if err == nil || slices.ContainsFunc(final, func(e error) bool { return errors.Is(err, e) }) {
			return p, err
		}
		if text := err.Error(); text != said {
			said = text
			a.Log.Warn("reading a partition's offset from the ledger failed", "partition", partition, "error", err)
		}
		if err := pause.wait(ctx); err != nil {
			return p, err
		}
	}
}

// Revoked ends the ownership of a partition: the running batch is finished, what
// was taken and not begun is dropped, the lanes forget their balances.
func (a *Applier) Revoked(partition int32) {
	a.mu.Lock()
	w := a.workers[partition]
	delete(a.workers, partition)
	a.mu.Unlock()
	if w != nil {
		a.signalProgress()
		w.stop() // it may say at its end that the partition is stopped
		a.lanes.forget(func(id uuid.UUID) bool { return a.Journal.PartitionOf(id) == partition })
	}
	a.mu.Lock()
	delete(a.stopped, partition) // another replica's matter now
	a.mu.Unlock()
}

// markStopped records that a partition cannot be applied until an operator acts.
func (a *Applier) markStopped(partition int32, err error) {
	a.mu.Lock()
	a.stopped[partition] = err
	a.mu.Unlock()
	a.signalProgress()
	a.Log.Error("partition stopped: its records are kept and not applied until an operator decides", "partition", partition, "error", err)
}

// Halt gives a partition up and records why it cannot be applied until an
// operator acts.
func (a *Applier) Halt(partition int32, err error) {
	a.Revoked(partition)
	a.markStopped(partition, err)
}

// Owns reports whether this replica has a partition's worker.
func (a *Applier) Owns(partition int32) bool { return a.worker(partition) != nil }

// AppliesWallet reports whether this replica applies the wallet's operations.
func (a *Applier) AppliesWallet(id uuid.UUID) bool { return a.Owns(a.Journal.PartitionOf(id)) }

// Offsets returns the offset that each owned partition has reached in the ledger.
func (a *Applier) Offsets() map[int32]int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	offsets := make(map[int32]int64, len(a.workers))
	for p, w := range a.workers {
		offsets[p] = w.next.Load()
	}
	return offsets
}

// Stopped describes the partitions that wait for an operator; nil if there are none.
func (a *Applier) Stopped() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []error
	for p, err := range a.stopped {
		all = append(all, fmt.Errorf("partition %d stopped: %w", p, err))
	}
	return errors.Join(all...)
}

// Close gives up all partitions, finishing their running batches, and waits for
// the direct way to become idle.
func (a *Applier) Close() {
	a.mu.Lock()
	a.cancel()
	owned := slices.Collect(maps.Keys(a.workers))
	a.mu.Unlock()
	for _, p := range owned {
		a.Revoked(p)
	}
	a.direct.Wait()
}

// announce settles what was committed here, and then tells the Announcer.
func (a *Applier) announce(c wallet.Committed) {
	for i := range c.Results {
		a.lanes.settle(c.Results[i].WalletID, c.Results[i].ID)
	}
	a.Announcer.Announce(context.Background(), c)
}

func (a *Applier) worker(partition int32) *worker {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.workers[partition]
}

// rowTime is the time that rows carry: PostgreSQL keeps microseconds.
func (a *Applier) rowTime() time.Time { return a.Now().UTC().Truncate(time.Microsecond) }
