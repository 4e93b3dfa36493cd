package applier_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// has reports whether a call commits the operation.
func has(c simtest.Call, id uuid.UUID) bool {
	return c.Batch != nil && slices.ContainsFunc(c.Batch.Operations, func(op wallet.Operation) bool { return op.ID == id })
}

// Calls that wait together and are refused together are committed one by one. The
// balance that those before the offender leave is announced with their outcomes.
func TestARefusedCallDoesNotLoseTheBalanceOfThoseBesideIt(t *testing.T) {
	for name, position := range map[string]int{"first": 0, "between": 1, "last": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { refuseOneOf(t, position) })
		})
	}
}

func refuseOneOf(t *testing.T, position int) {
	w := newMemoryWorld(t, 1)
	id := w.created()
	busy, calls := deposit(id, 1), []wallet.Operation{deposit(id, 10), deposit(id, 10), deposit(id, 10)}
	bad, free, together := calls[position], make(chan struct{}), false
	r := w.replica(withFaults(func(c simtest.Call) simtest.Fault {
		if has(c, busy.ID) {
			<-free
		}
		if has(c, calls[0].ID) && has(c, calls[2].ID) {
			together = true
		}
		if has(c, bad.ID) {
			return simtest.Refused
		}
		return simtest.None
	}))
	errs := make([]error, len(calls))
	go func() { _, _ = r.tryDirect(context.Background(), busy) }()
	synctest.Wait()
	for i, op := range calls {
		go func() { _, errs[i] = r.tryDirect(context.Background(), op) }()
		synctest.Wait()
	}
	close(free)
	synctest.Wait()

	if !together {
		t.Fatal("they were never one batch")
	}
	var last wallet.Wallet
	for _, c := range r.told.Commits() {
		for _, moved := range c.Wallets {
			last = moved
		}
	}
	if last.ID != id || last.Sequence != 3 || last.Balance != 21 {
		t.Errorf("the last balance announced is %+v", last)
	}
	for i, op := range calls {
		if i == position {
			if !errors.Is(errs[i], wallet.ErrRefused) {
				t.Errorf("the refused call: %v", errs[i])
			}
			continue
		}
		if done := r.outcome(op); errs[i] != nil || done.Status != wallet.Applied {
			t.Errorf("call %d: %+v, %v", i, done, errs[i])
		}
	}
	r.close()
	w.clean()
}
