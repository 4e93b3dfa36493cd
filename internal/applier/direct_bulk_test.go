package applier_test

import (
	"context"
	"testing"

	"github.com/walletd/walletd/internal/wallet"
)

func TestABulkIsOneCommitOnTheDirectWayAndInOrder(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	r, id := w.replica(), w.created()
	first := r.mustDirect(deposit(id, 5))
	reused := first
	reused.Amount = 6
	ops := []wallet.Operation{withdraw(id, 9), deposit(id, 5), first, withdraw(id, 9), reused}
	for _, op := range ops {
		r.direct[op.Key()] = true
	}
	commits := len(r.told.Commits())
	done, err := r.Direct(context.Background(), ops...)
	if err != nil || len(r.told.Commits()) != commits+1 {
		t.Fatalf("%v after %d commits", err, len(r.told.Commits())-commits)
	}
	wantOutcome(t, done[0], wallet.Failed, wallet.InsufficientFunds, 2, 5)
	wantOutcome(t, done[1], wallet.Applied, wallet.NoReason, 3, 10)
	wantOutcome(t, done[3], wallet.Applied, wallet.NoReason, 4, 1)
	if done[2] != first || done[4] != first {
		t.Errorf("the repeats are %+v and %+v", done[2], done[4])
	}
	w.clean()
}
