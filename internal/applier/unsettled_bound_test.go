package applier_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/wallet"
)

// Many wallets with few operations each are as much memory as one with many: what
// is beyond the bound is not kept, and the direct way does not pass it.
func TestUnsettledOperationsAreBoundedOverAllWallets(t *testing.T) {
	ctx := context.Background()
	w := newMemoryWorld(t, 1)
	first, second, beyond := w.created(), w.created(), w.created()
	r := w.replica(withLimits(func(l *applier.Limits) { l.Unsettled, l.UnsettledPerWallet = 2, 100 }))
	journaled := []wallet.Operation{deposit(first, 1), deposit(second, 1), deposit(beyond, 1)}
	for _, op := range journaled {
		if _, err := r.journal.Write(op); err != nil {
			t.Fatal(err)
		}
	}

	_, err := r.tryDirect(ctx, deposit(beyond, 2))
	var refused *wallet.Error
	if !errors.As(err, &refused) || refused.Code != wallet.CodeUnavailable || refused.Fate != wallet.NotApplied {
		t.Fatalf("a wallet with an operation that was not kept: %v, want that nothing was tried", err)
	}
	for i, id := range []uuid.UUID{first, second} { // these have theirs: it goes first
		if done := r.mustDirect(deposit(id, 3)); done.Sequence != 2 || done.BalanceAfter != 4 {
			t.Errorf("wallet %d: %+v", i, done)
		}
	}

	// Once the ledger has passed what was not kept, the wallet is as any other.
	owner := w.owning()
	owner.outcome(journaled[2])
	if _, err := r.Reconcile(ctx, map[int32]int64{0: w.log.End(0)}); err != nil {
		t.Fatal(err)
	}
	if done := r.mustDirect(deposit(beyond, 2)); done.Sequence != 2 || done.BalanceAfter != 3 {
		t.Errorf("after it was passed: %+v", done)
	}
	again := deposit(beyond, 5) // all are settled: there is room
	if _, err := r.journal.Write(again); err != nil {
		t.Fatal(err)
	}
	if done := r.mustDirect(deposit(beyond, 6)); done.Status != wallet.Applied {
		t.Errorf("with room again: %+v", done)
	}
	w.settle()
}
