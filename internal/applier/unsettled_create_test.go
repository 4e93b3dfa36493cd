package applier_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// That the ledger has passed a creation's record does not mean that it has the
// wallet: it may be requeued. Until it is there, this replica's direct way creates
// the wallet first.
func TestAPassedCreationThatIsRequeuedStaysUnsettled(t *testing.T) {
	ctx := context.Background()
	w := newMemoryWorld(t, 1)
	id := uuid.New()
	var refusing atomic.Bool
	refusing.Store(true)
	w.owning(withFaults(func(c simtest.Call) simtest.Fault {
		if refusing.Load() && c.Batch != nil && slices.ContainsFunc(c.Batch.Creates, func(n wallet.Creation) bool { return n.ID == id }) {
			return simtest.Refused
		}
		return simtest.None
	}))
	r := w.replica()
	if _, err := r.journal.Append(create(id)); err != nil {
		t.Fatal(err)
	}
	w.await("the creation is requeued", func(b simtest.Books) bool { return len(b.Entries[id]) == 1 && b.Offsets[0] > 0 })
	for range 2 {
		if _, err := r.Reconcile(ctx, w.books().Offsets); err != nil {
			t.Fatal(err)
		}
	}
	if done := r.mustDirect(deposit(id, 5)); done.Status != wallet.Applied || done.BalanceAfter != 5 {
		t.Errorf("an operation of the accepted wallet: %+v", done)
	}
	refusing.Store(false)
	if b := w.settle(); b.Wallets[id].Balance != 5 {
		t.Errorf("%+v", b.Wallets[id])
	}
}
