package applier_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// counted counts a replica's calls of one method of the ledger.
func counted(method string, calls *atomic.Int64) func(*replica, *applier.Config) {
	return withFaults(func(c simtest.Call) simtest.Fault {
		if c.Method == method {
			calls.Add(1)
		}
		return simtest.None
	})
}

func TestANotedStateIsNotReadAgain(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id, reads := w.created(), atomic.Int64{}
	before := db.move(t, id)
	r := w.owning(counted("Read", &reads))
	r.awaitOwned()
	r.NoteState(wallet.Wallet{ID: id, State: w.books().Wallets[id]})
	now := withdraw(id, 1)
	w.append(now)
	r.outcome(now)
	wantHistory(t, w.books(), id, before, now)
	if n := reads.Load(); n != 0 || !r.KnowsWallet(id) {
		t.Errorf("%d reads, known: %t", n, r.KnowsWallet(id))
	}
}

// A request may hear of a wallet long after the ledger was read.
func TestANotedStateThatIsTooOldIsReadAgain(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id, reads := w.created(), atomic.Int64{}
	was := w.books().Wallets[id]
	before := db.move(t, id)
	r := w.owning(counted("Read", &reads))
	r.awaitOwned()
	r.NoteState(wallet.Wallet{ID: id, State: was})
	now := withdraw(id, 1)
	w.append(now)
	wantOutcome(t, r.outcome(now), wallet.Applied, wallet.NoReason, 2, 0)
	wantHistory(t, w.books(), id, before, now)
	if n := reads.Load(); n != 1 {
		t.Errorf("%d reads", n)
	}
}

func TestNoteStateDoesNotTurnALaneBack(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	id, reads := w.created(), atomic.Int64{}
	was := w.books().Wallets[id]
	r := w.owning(counted("Read", &reads))
	first, second := deposit(id, 5), withdraw(id, 2)
	w.append(first)
	r.outcome(first)
	r.NoteState(wallet.Wallet{ID: id, State: was})
	w.append(second)
	r.outcome(second)
	wantHistory(t, w.books(), id, first, second)
	if n := reads.Load(); n != 1 {
		t.Errorf("%d reads, the first operation's is one", n)
	}
}

// Whoever does not apply a wallet would keep what it met for long, and could become
// its partition's owner at any time.
func TestAWalletThatAnotherReplicaAppliesIsOnlyKnownToExist(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id, commits := w.created(), atomic.Int64{}
	r := w.replica(counted("Commit", &commits))
	r.NoteState(wallet.Wallet{ID: id, State: w.books().Wallets[id]})
	if !r.KnowsWallet(id) {
		t.Error("it is not known to exist")
	}
	before, now := db.move(t, id), withdraw(id, 1)
	r.journal.Own(0)
	w.append(now)
	wantOutcome(t, r.outcome(now), wallet.Applied, wallet.NoReason, 2, 0)
	wantHistory(t, w.books(), id, before, now)
	if n := commits.Load(); n != 1 {
		t.Errorf("%d commits: it was decided from what it had met", n)
	}
}

func TestNoteStateMayRaceWithCommits(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 1)
	id, r := w.created(), w.owning()
	was := w.books().Wallets[id]
	ended := make(chan struct{})
	var meeting sync.WaitGroup
	meeting.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
				r.NoteState(wallet.Wallet{ID: id, State: was})
				r.Forget()
			}
		}
	})
	ops := make([]wallet.Operation, 200)
	for i := range ops {
		ops[i] = deposit(id, 1)
		w.append(ops[i])
		r.outcome(ops[i])
	}
	close(ended)
	meeting.Wait()
	wantHistory(t, w.books(), id, ops...)
}
