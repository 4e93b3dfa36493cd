package applier

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// attempt is the attempt to commit a batch: what was learnt from its refusals so far.
type attempt struct {
	applier *Applier
	worker  *worker
	records []wallet.Record // the prefix that is being tried
	locked  map[uuid.UUID]*lane

	aside       map[uuid.UUID]refusal // wallets whose records go to their list
	conflicts   map[uuid.UUID]int     // how often a wallet's version had moved
	again       reread
	known       int // how many of the batch's ids the ledger had
	unexplained int // refusals that no reading explained
	retries     int
	readRefused bool // the last refusal was of the read, not of the commit
}

// refusal is why a wallet is set aside.
type refusal struct {
	why        string
	unreadable bool // reading of it was refused
}

// newAttempt locks the lanes of the records.
func newAttempt(w *worker, records []wallet.Record) *attempt {
	return &attempt{
		applier: w.applier, worker: w, records: records, locked: w.applier.lanes.lockAll(walletsOf(records)),
		aside: map[uuid.UUID]refusal{}, conflicts: map[uuid.UUID]int{},
	}
}

// maxUnexplained is how many refusals that no reading explains are tried again as they are.
const maxUnexplained = 2

func (t *attempt) unlock() {
	for _, ln := range t.locked {
		ln.mu.Unlock()
	}
}

// commit computes the batch from what the lanes know, reading what they lack, and
// commits it. It does not end with the worker: a running commit is finished.
func (t *attempt) commit() (*batch, error) {
	ctx := context.Background()
	b := newBatch(t.applier.rowTime(), t.records, t.locked, wallet.FromJournal, t.applier.Limits)
	b.Fence = &wallet.Fence{Topic: t.worker.topic, Partition: t.worker.partition, From: t.worker.next.Load(), To: t.records[len(t.records)-1].Receipt.Offset + 1}
	b.lists, b.aside = t.worker.lists, t.aside
	moved, known, err := b.load(ctx, t.applier.Ledger, t.again)
	if t.readRefused = err != nil; t.readRefused {
		return nil, err
	}
	if t.again.versions {
		t.explain(moved, known)
	}
	return b, t.applier.Ledger.Commit(ctx, b.compute())
}

// explain counts what a reading after a conflict has shown.
func (t *attempt) explain(moved []uuid.UUID, known int) {
	for _, id := range moved {
		if t.conflicts[id]++; t.conflicts[id] > t.applier.Limits.Conflicts {
			t.setAside(id, refusal{why: "its version kept moving"})
		}
	}
	if len(moved) == 0 && known <= t.known {
		t.unexplained++
	}
	t.known, t.again.versions = known, false
}

// adapt decides how to go on after a refusal. It returns an error if the batch
// has to be dropped.
func (t *attempt) adapt(err error) error {
	switch {
	case dropsBatch(err):
		return err
	case errors.Is(err, wallet.ErrSerialization):
		if t.retries++; t.retries > t.applier.Limits.Retries {
			return err
		}
		return nil
	case errors.Is(err, wallet.ErrConflict):
		t.applier.metrics.conflicts.Inc()
		t.again = reread{ids: true, versions: true}
		if t.unexplained < maxUnexplained {
			return nil
		}
	case errors.Is(err, wallet.ErrLocked):
		return t.findLocked()
	}
	return t.bisect(err)
}

// findLocked sets aside the wallets that somebody holds locked.
func (t *attempt) findLocked() error {
	held, err := t.applier.Ledger.Locked(context.Background(), walletsOf(t.records))
	if errors.Is(err, wallet.ErrRefused) {
		return t.bisect(err)
	}
	if err != nil {
		return err
	}
	found := false
	for _, id := range held {
		if _, ok := t.aside[id]; !ok {
			t.setAside(id, refusal{why: "its row is held locked"})
			found = true
		}
	}
	if t.unexplained++; !found && t.unexplained > maxUnexplained {
		// No wallet is held: it is a table, or the fence. Setting aside would not help.
		return fmt.Errorf("%w: something else than a wallet is held locked", wallet.ErrUnavailable)
	}
	return nil
}

// bisect pins a refusal that nothing explains on one record, by trying ever
// shorter prefixes, and sets that record's wallet aside. The shorter prefix is a
// batch of its own: what is before the offender is applied.
func (t *attempt) bisect(err error) error {
	t.unexplained = 0
	if n := len(t.records); n > 1 {
		t.records = t.records[:n/2]
		return nil
	}
	r := t.records[0]
	was, aside := t.aside[r.WalletID]
	if aside && (was.unreadable || !t.readRefused) || r.Kind == wallet.KindPoison {
		// Not this wallet's fault: even passing its record is refused.
		return fmt.Errorf("%w: offset %d cannot be passed: %w", wallet.ErrUnavailable, r.Receipt.Offset, err)
	}
	t.setAside(r.WalletID, refusal{why: err.Error(), unreadable: t.readRefused})
	return nil
}

func (t *attempt) setAside(id uuid.UUID, because refusal) {
	t.aside[id] = because
	t.applier.metrics.asides.Inc()
	t.worker.log.Error("wallet set aside: its operations are requeued, the others go on", "wallet", id, "reason", because.why)
}

// dropsBatch reports whether the batch has to be dropped and the ledger read again: it does
// not answer, or the partition is another replica's by now, or the batch may be committed
// without our knowing.
func dropsBatch(err error) bool {
	return !errors.Is(err, wallet.ErrConflict) && !errors.Is(err, wallet.ErrLocked) &&
		!errors.Is(err, wallet.ErrRefused) && !errors.Is(err, wallet.ErrSerialization)
}
