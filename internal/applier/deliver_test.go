package applier_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/wallet"
)

// expecting is a ledger that notes how many batches it is told of.
type expecting struct {
	applier.Ledger
	mu    sync.Mutex
	calls []int
}

func (l *expecting) Expect(batches int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, batches)
}

func (l *expecting) told() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls)
}

// What one answer of the broker acknowledges is of many partitions; those that this
// replica applies are batches that can share a transaction.
func TestWhatIsDeliveredTogetherIsExpectedTogether(t *testing.T) {
	t.Parallel()
	const partitions, owned = 4, 3
	w, told := newMemoryWorld(t, partitions), &expecting{}
	r := w.replica(func(_ *replica, c *applier.Config) { told.Ledger, c.Ledger = c.Ledger, told })
	for p := range int32(owned) { // without a reader: nothing comes but by Deliver
		if _, err := r.Assigned(t.Context(), w.log.Topic, p); err != nil {
			t.Fatal(err)
		}
	}
	var records []wallet.Record
	var ops []wallet.Operation
	for p := range int32(partitions) {
		id := w.created()
		for r.journal.PartitionOf(id) != p {
			id = w.created()
		}
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
	if got := told.told(); !slices.Equal(got, []int{owned, 0}) {
		t.Errorf("expected %v batches, want those of %d partitions, once", got, owned)
	}
}
