package applier_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// turnWithin is less than a client waits.
const turnWithin = 3 * time.Second

// A replica that has to read before each try is slower than one that knows what it
// wrote last and never stops writing. It gets its turn all the same.
func TestOnTheDirectWayABusyReplicaLetsAnotherHaveItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		id := w.created()
		far := func(way time.Duration) func(*replica, *applier.Config) {
			return withFaults(func(simtest.Call) simtest.Fault {
				time.Sleep(way) // to the ledger
				return simtest.None
			})
		}
		busy, other := w.replica(far(2*time.Millisecond)), w.replica(far(12*time.Millisecond))
		ctx, stop := context.WithCancel(context.Background())
		var calls sync.WaitGroup
		for range 8 {
			calls.Go(func() {
				for ctx.Err() == nil {
					busy.mustDirect(deposit(id, 1))
				}
			})
		}
		for range 10 {
			within, cancel := context.WithTimeout(context.Background(), turnWithin)
			if _, err := other.tryDirect(within, deposit(id, 1)); err != nil {
				t.Errorf("no turn within %s: %v", turnWithin, err)
			}
			cancel()
		}
		stop()
		calls.Wait()
	})
}

// Who waited in vain for other wallets' turns is told that the service is overloaded, and
// that nothing was applied: nothing will be.
func TestACallThatNeverGetsItsTurnIsNotApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		busy, other := w.created(), w.created()
		open := make(chan struct{})
		r := w.replica(withLimits(func(l *applier.Limits) { l.DirectCommits = 1 }), withFaults(func(c simtest.Call) simtest.Fault {
			if c.Method == "Commit" {
				<-open
			}
			return simtest.None
		}))
		first := r.begin(t.Context(), deposit(busy, 1))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.tryDirect(ctx, deposit(other, 1))
		wantUntried(t, err, wallet.CodeOverloaded)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.tryDirect(ctx, deposit(busy, 1)); err == nil { // behind the one that is being tried
			t.Error("applied without a turn")
		}
		close(open)
		wantApplied(t, first)
		synctest.Wait()
		wantHistory(t, w.books(), other)
		if n := len(history(w.books(), busy)); n != 1 {
			t.Errorf("%d operations of the busy wallet", n)
		}
	})
}

// Rows that somebody holds take few turns, however many wallets they are of: the others are
// for who can be applied.
func TestWalletsWhoseRowsAreHeldShareFewTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wallets, lockTimeout, patience = 6, 500 * time.Millisecond, 3 * time.Second
		w := newMemoryWorld(t, 1)
		free, held := w.created(), map[uuid.UUID]*atomic.Int32{}
		for range wallets {
			held[w.created()] = new(atomic.Int32)
		}
		var again, most atomic.Int32
		r := w.replica(withLimits(func(l *applier.Limits) { l.DirectCommits = 2 }), withFaults(func(c simtest.Call) simtest.Fault {
			if c.Method != "Commit" || held[c.Batch.Operations[0].WalletID] == nil {
				return simtest.None
			}
			if held[c.Batch.Operations[0].WalletID].Add(1) > 1 {
				most.Store(max(most.Load(), again.Add(1)))
				defer again.Add(-1)
			}
			time.Sleep(lockTimeout)
			return simtest.Locked
		}))
		var calls sync.WaitGroup
		var untried atomic.Int32
		for id := range held {
			calls.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				_, err := r.tryDirect(ctx, deposit(id, 1))
				if e := new(wallet.Error); errors.As(err, &e) {
					untried.Add(1)
					wantUntried(t, err, wallet.CodeUnavailable)
				}
			})
		}
		time.Sleep(wallets * lockTimeout) // each has been tried
		began := time.Now()
		r.mustDirect(deposit(free, 1))
		if took := time.Since(began); took >= lockTimeout {
			t.Errorf("a wallet whose row is free waited %s for those that are held", took)
		}
		calls.Wait()
		if most.Load() != applier.HeldCommits || untried.Load() < wallets-applier.HeldCommits {
			t.Errorf("%d of those tried again at a time; %d were told that nothing was applied", most.Load(), untried.Load())
		}
		r.close()
	})
}
