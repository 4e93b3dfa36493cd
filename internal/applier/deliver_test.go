package applier_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/wallet"
)

// expecting is a ledger that notes which batches it is told of.
type expecting struct {
	applier.Ledger
	mu    sync.Mutex
	calls [][]wallet.ExpectedBatch
}

func (l *expecting) Expect(batches ...wallet.ExpectedBatch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, batches)
}

func (l *expecting) want(t *testing.T, calls ...[]wallet.ExpectedBatch) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.EqualFunc(l.calls, calls, slices.Equal) {
		t.Errorf("expected batches of %v, want %v", l.calls, calls)
	}
}

// assign has a replica own partitions without a reader: nothing comes but by Deliver.
func (r *replica) assign(partitions int32) {
	r.t.Helper()
	for p := range partitions {
		if _, err := r.Assigned(r.t.Context(), r.log.Topic, p); err != nil {
			r.t.Fatal(err)
		}
	}
}

// in is a new wallet of the partition.
func (r *replica) in(p int32) uuid.UUID {
	for {
		if id := r.created(); r.journal.PartitionOf(id) == p {
			return id
		}
	}
}

// What one answer of the broker acknowledges is of many partitions; those that this
// replica applies are batches that can share a transaction.
func TestWhatIsDeliveredTogetherIsExpectedTogether(t *testing.T) {
	t.Parallel()
	const partitions, owned = 4, 3
	w, told := newMemoryWorld(t, partitions), &expecting{}
	r := w.replica(func(_ *replica, c *applier.Config) { told.Ledger, c.Ledger = c.Ledger, told })
	r.assign(owned)
	var records []wallet.Record
	var ops []wallet.Operation
	for p := range int32(partitions) {
		id := r.in(p)
		for range 2 {
			op := deposit(id, 1)
			records = append(records, w.append(op))
			if p < owned {
				ops = append(ops, op)
			}
		}
	}
	r.Deliver(records...)
	r.Deliver(records...) // they are known by now
	for _, op := range ops {
		if done := r.outcome(op); done.Status != wallet.Applied {
			t.Errorf("%+v", done)
		}
	}
	told.want(t, []wallet.ExpectedBatch{{Partition: 0, Operations: 2}, {Partition: 1, Operations: 2}, {Partition: 2, Operations: 2}}, nil)
}

// A worker that is at another batch has the next one later than the others theirs.
func TestWhoIsAtAnotherBatchIsNotExpected(t *testing.T) {
	t.Parallel()
	w, told := newMemoryWorld(t, 2), &expecting{}
	committing, release := make(chan struct{}, 10), make(chan struct{})
	r := w.replica(blocking(committing, release), func(_ *replica, c *applier.Config) { told.Ledger, c.Ledger = c.Ledger, told })
	t.Cleanup(func() { close(release) }) // before the replica ends, which waits for it
	r.assign(2)
	busy := r.in(0)
	r.Deliver(w.append(deposit(busy, 1)))
	wait(t, "a commit is under way", committing)
	r.Deliver(w.append(deposit(busy, 2)), w.append(deposit(r.in(1), 1)))
	told.want(t, []wallet.ExpectedBatch{{Partition: 0, Operations: 1}}, []wallet.ExpectedBatch{{Partition: 1, Operations: 1}})
}
