package applier_test

import (
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// commits calls f at each Commit of a fenced batch and lets everything else pass.
func commits(f func(b *wallet.Batch) simtest.Fault) func(*replica, *applier.Config) {
	return withFaults(func(c simtest.Call) simtest.Fault {
		if c.Method == "Commit" && c.Batch.Fence != nil {
			return f(c.Batch)
		}
		return simtest.None
	})
}

// Invariants 2 and 6: ownership is no more than an optimisation.
func TestTwoOwnersOfAPartitionLoseNothingAndApplyNothingTwice(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	ids := []uuid.UUID{w.created(), w.created(), w.created()}
	small := withLimits(func(l *applier.Limits) { l.BatchOperations = 7 })
	a, b := w.owning(small), w.owning(small)
	var last wallet.Operation
	for i := range 200 {
		owner := []*replica{a, b}[i%2]
		last = deposit(ids[i%3], wallet.Amount(i+1))
		if i%5 == 4 {
			last.Type = wallet.Withdraw
		}
		if _, err := owner.journal.Write(last); err != nil {
			t.Fatal(err)
		}
	}
	books := w.settle()
	if n := len(books.Operations); n != 200 {
		t.Errorf("%d operations of 200", n)
	}
	told := map[wallet.Key]bool{}
	for _, r := range []*replica{a, b} {
		for k := range r.told.Outcomes() {
			if told[k] {
				t.Errorf("both owners committed %s", k.ID)
			}
			told[k] = true
		}
	}
}

func TestAFencedOwnerTellsNobodyAndGoesOnBehindTheOther(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	id := w.created()
	reached, passed := make(chan struct{}), make(chan struct{})
	var held atomic.Bool
	zombie := w.owning(commits(func(*wallet.Batch) simtest.Fault {
		if held.CompareAndSwap(false, true) {
			close(reached)
			<-passed
		}
		return simtest.None
	}))
	fenced := []wallet.Operation{deposit(id, 1), deposit(id, 2)}
	w.append(fenced...)
	wait(t, "the zombie is at its commit", reached)
	owner := w.owning()
	for _, op := range fenced {
		owner.outcome(op)
	}
	owner.close()
	close(passed)
	later := deposit(id, 3)
	w.append(later)
	wantOutcome(t, zombie.outcome(later), wallet.Applied, wallet.NoReason, 3, 6)
	for _, op := range fenced {
		if _, told, _ := zombie.told.Outcome(op.Key()); told {
			t.Errorf("the fenced owner told of %d", op.Amount)
		}
	}
	wantHistory(t, w.settle(), id, append(fenced, later)...)
}

// Invariant 2, with the commit's answer lost: it may have been written or not.
func TestACommitOfUnknownOutcomeAppliesOnce(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]simtest.Fault{"written": simtest.LostAnswer, "not written": simtest.CutOff} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, 1)
			id := w.created()
			var n atomic.Int64
			r := w.owning(commits(func(*wallet.Batch) simtest.Fault {
				if n.Add(1) <= 3 {
					return fault
				}
				return simtest.None
			}))
			ops := []wallet.Operation{deposit(id, 100), withdraw(id, 30), withdraw(id, 80)}
			for _, op := range ops {
				if _, err := r.journal.Write(op); err != nil {
					t.Fatal(err)
				}
			}
			w.await("the ledger passes them", func(b simtest.Books) bool { return b.Offsets[0] == 3 })
			last := deposit(id, 1)
			for n.Load() < 3 { // the three may have been one batch
				w.append(deposit(uuid.New(), 1))
				next := w.log.End(0)
				w.await("the record is passed", func(b simtest.Books) bool { return b.Offsets[0] == next })
			}
			w.append(last)
			wantOutcome(t, r.outcome(last), wallet.Applied, wallet.NoReason, 4, 71)
			for _, op := range ops { // told by the worker, once it knows
				r.outcome(op)
			}
			// What nobody was told becomes known by a look at the ledger: the direct way
			// then has nothing of it left to apply first.
			b := w.books()
			if _, err := r.Reconcile(testContext(t), b.Offsets); err != nil {
				t.Fatal(err)
			}
			wantHistory(t, w.settle(), id, append(ops, last)...)
		})
	}
}

func TestSerializationFailuresAreRetriedAtOnce(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	id := w.created()
	var n, partitions atomic.Int64
	r := w.owning(withFaults(func(c simtest.Call) simtest.Fault {
		switch {
		case c.Method == "Partition":
			partitions.Add(1)
		case c.Method == "Commit" && n.Add(1) <= 5:
			return simtest.Serialization
		}
		return simtest.None
	}))
	op := deposit(id, 1)
	w.append(op)
	wantOutcome(t, r.outcome(op), wallet.Applied, wallet.NoReason, 1, 1)
	if n.Load() != 6 || partitions.Load() != 1 {
		t.Errorf("%d commits, the offset was read %d times: the batch was dropped", n.Load(), partitions.Load())
	}
	wantHistory(t, w.settle(), id, op)
}

func TestAMovedVersionIsReadAndComputedAgain(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id, other := w.created(), w.created()
	r := w.owning()
	var want []wallet.Operation
	for range 5 {
		op := deposit(id, 10)
		w.append(op)
		w.append(deposit(other, 1))
		r.outcome(op) // the lane now knows the balance, and the foreigner makes it stale
		want = append(want, op, db.move(t, id))
		w.foreign(want[len(want)-1])
	}
	last := withdraw(id, 55)
	w.append(last)
	wantOutcome(t, r.outcome(last), wallet.Applied, wallet.NoReason, 11, 0)
	wantHistory(t, w.settle(), id, append(want, last)...)
}

// foreign notes an operation that somebody else wrote: an audit finds no request of it.
func (w *world) foreign(op wallet.Operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.direct[op.Key()] = true
}

// Invariant 4: a wallet that keeps moving is set aside; the others are committed.
func TestAConflictBeyondItsBoundSetsOnlyThatWalletAside(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	hot, calm := w.created(), w.created()
	stop := make(chan struct{})
	r := w.owning(commits(func(b *wallet.Batch) simtest.Fault {
		select {
		case <-stop:
			return simtest.None
		default:
		}
		for _, c := range b.Changes {
			if c.ID == hot {
				w.foreign(db.move(t, hot))
			}
		}
		return simtest.None
	}))
	first, beside := deposit(hot, 10), deposit(calm, 20)
	if _, err := r.journal.Write(first); err != nil {
		t.Fatal(err)
	}
	if _, err := r.journal.Write(beside); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, r.outcome(beside), wallet.Applied, wallet.NoReason, 1, 20)
	late := withdraw(hot, 10)
	w.append(late)
	after := deposit(calm, 1)
	w.append(after)
	r.outcome(after)
	if _, told, _ := r.told.Outcome(first.Key()); told {
		t.Error("the hot wallet was told of")
	}
	close(stop)
	if r.outcome(first).Sequence >= r.outcome(late).Sequence {
		t.Error("the list was not applied in order")
	}
	w.settle()
}
