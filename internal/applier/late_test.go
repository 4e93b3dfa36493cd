package applier_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// late is a ledger whose first commit of the journal is cut off, and lands just before
// the second.
type late struct {
	applier.Ledger
	mu    sync.Mutex
	tries int
	cut   *wallet.Batch
}

func (l *late) Commit(ctx context.Context, b *wallet.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.Fence == nil {
		return l.Ledger.Commit(ctx, b)
	}
	switch l.tries++; l.tries {
	case 1:
		l.cut = b
		return fmt.Errorf("%w: cut off", wallet.ErrUnavailable)
	case 2:
		if err := l.Ledger.Commit(ctx, l.cut); err != nil {
			return err
		}
	}
	return l.Ledger.Commit(ctx, b)
}

// It fences the worker's own second try: nobody else could tell of it.
func TestACommitThatLandsLateIsTold(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 1)
	id := w.created()
	r := w.owning(func(_ *replica, c *applier.Config) { c.Ledger = &late{Ledger: c.Ledger} })
	op := deposit(id, 7)
	w.append(op)
	wantOutcome(t, r.outcome(op), wallet.Applied, wallet.NoReason, 1, 7)
	r.wantPut(op)
	w.settle()
}

// wantPut waits for the balance after the operation to be announced.
func (r *replica) wantPut(op wallet.Operation) {
	r.t.Helper()
	eventually(r.t, "the balance is put", func() bool {
		for _, c := range r.told.Commits() {
			for _, put := range slices.Concat(c.Wallets, c.MaybeStale) {
				if put.ID == op.WalletID && put.Balance == op.Amount {
					return true
				}
			}
		}
		return false
	})
}

// The commit was direct, its client does not ask again, and no other operation follows:
// its backfill record is the only one to come by.
func TestADirectCommitWhoseAnswerWasLostIsToldByItsBackfill(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 1)
	id := w.created()
	op := deposit(id, 7)
	r := w.replica(withFaults(func(c simtest.Call) simtest.Fault {
		if c.Method == "Commit" && c.Batch.Fence == nil {
			return simtest.LostAnswer
		}
		return simtest.None
	}))
	if _, err := r.tryDirect(t.Context(), op); !errors.Is(err, wallet.ErrUnavailable) {
		t.Fatalf("its outcome is known: %v", err)
	}
	r.journal.Own(0)
	r.wantPut(op)
	w.settle()
}

// A ledger that flaps may not say at once what it has.
func TestWhatTheLedgerDoesNotSayAtOnceIsToldOnceItDoes(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 1)
	id := w.created()
	var mu sync.Mutex
	commits, reads := 0, 0
	r := w.owning(withFaults(func(c simtest.Call) simtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if c.Method == "Commit" {
			if commits++; commits == 1 {
				return simtest.LostAnswer
			}
		}
		if c.Method == "Read" && commits > 0 {
			if reads++; reads <= 3 {
				return simtest.CutOff
			}
		}
		return simtest.None
	}))
	op := deposit(id, 7)
	w.append(op)
	wantOutcome(t, r.outcome(op), wallet.Applied, wallet.NoReason, 1, 7)
	r.wantPut(op)
	w.settle()
}

// ways are how an operation comes to be applied; each returns its outcome.
var ways = map[string]func(*replica, wallet.Operation) wallet.Operation{
	"direct":  (*replica).mustDirect,
	"journal": func(r *replica, op wallet.Operation) wallet.Operation { r.append(op); return r.outcome(op) },
}

// What a repeat shows of a wallet that has moved on is not what it has now.
func TestARepeatOfAnOldOperationDoesNotTellItsBalanceAsTheWalletsOwn(t *testing.T) {
	t.Parallel()
	for way, put := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			w := newMemoryWorld(t, 1)
			id := w.created()
			r := w.owning()
			first, second := deposit(id, 7), deposit(id, 100)
			w.append(first)
			w.append(second)
			wantOutcome(t, r.outcome(second), wallet.Applied, wallet.NoReason, 2, 107)
			before := len(r.told.Commits())
			again := first
			again.AcceptedAt = again.AcceptedAt.Add(time.Hour)
			put(r, again)
			eventually(t, "it is told", func() bool { return len(r.told.Commits()) > before })
			for _, c := range r.told.Commits()[before:] {
				if len(c.Wallets) > 0 {
					t.Errorf("no wallet has moved, told are %+v", c.Wallets)
				}
			}
		})
	}
}

// Whoever committed an operation directly and got no answer tells nobody. Who repeats
// it is told its outcome, and finds it in the balance.
func TestARepeatPutsTheBalanceThatNobodyCouldTell(t *testing.T) {
	t.Parallel()
	for way, put := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			w := newMemoryWorld(t, 1)
			id := w.created()
			var once sync.Once
			r := w.owning(withFaults(func(c simtest.Call) (fault simtest.Fault) {
				if c.Method == "Commit" && c.Batch.Fence == nil {
					once.Do(func() { fault = simtest.LostAnswer })
				}
				return fault
			}))
			op := deposit(id, 7)
			if _, err := r.tryDirect(t.Context(), op); err == nil {
				t.Fatal("its answer was not lost")
			}
			again := op
			again.AcceptedAt = again.AcceptedAt.Add(time.Second)
			wantOutcome(t, put(r, again), wallet.Applied, wallet.NoReason, 1, 7)
			r.wantPut(op)
			w.settle()
		})
	}
}
