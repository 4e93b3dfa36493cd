package applier_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/wallet"
)

func wantOutcome(t testing.TB, got wallet.Operation, status wallet.Status, reason wallet.Reason, sequence int64, balance wallet.Amount) {
	t.Helper()
	if got.Status != status || got.Reason != reason || got.Sequence != sequence || got.BalanceAfter != balance {
		t.Errorf("%s %d: %s %q, sequence %d, balance %d; want %s %q, %d, %d",
			got.Type, got.Amount, got.Status, got.Reason, got.Sequence, got.BalanceAfter, status, reason, sequence, balance)
	}
}

func TestALoneOperationIsAppliedAndTold(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	r, id := w.owning(), w.created()
	op := deposit(id, 1000)
	receipt, err := r.journal.Write(op)
	if err != nil {
		t.Fatal(err)
	}
	done := r.outcome(op)
	wantOutcome(t, done, wallet.Applied, wallet.NoReason, 1, 1000)
	if done.Receipt != receipt || done.Origin != wallet.FromJournal {
		t.Errorf("%+v, journaled at %+v", done, receipt)
	}
	commit := r.told.Commits()[0]
	if commit.Partition != 0 || commit.Next != 1 || len(commit.Wallets) != 1 || commit.Wallets[0].State != (wallet.State{Balance: 1000, Sequence: 1}) {
		t.Errorf("announced %+v", commit)
	}
	if commit.Results[0].Replica != r.journal.Replica {
		t.Error("the outcome does not say which replica waits for it")
	}
	w.settle()
}

// Invariant 3: what waits in the journal is one batch, decided in journal order.
func TestABatchIsDecidedInJournalOrder(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	ids := []uuid.UUID{w.created(), w.created(), w.created()}
	want := map[uuid.UUID][]wallet.Operation{}
	for i := range 60 {
		id := ids[i%3]
		// Each withdrawal is covered by nothing but the deposit just before it.
		ops := []wallet.Operation{deposit(id, wallet.Amount(i+1)), withdraw(id, wallet.Amount(i+1))}
		if i%2 == 0 {
			w.append(ops...)
		} else {
			w.append(ops[0])
			w.append(ops[1])
		}
		want[id] = append(want[id], ops...)
	}
	r := w.owning()
	b := w.settle()
	for _, id := range ids {
		wantHistory(t, b, id, want[id]...)
		for _, op := range history(b, id) {
			if op.Status != wallet.Applied {
				t.Errorf("operation %d: %s", op.Sequence, op.Reason)
			}
		}
	}
	if n := len(r.told.Commits()); n != 1 {
		t.Errorf("%d commits for what had arrived together", n)
	}
}

func TestRandomLoadsAreAppliedOnceAndInOrder(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	if *simSeed != 0 {
		seed = *simSeed
	}
	t.Logf("replay with -sim.seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	w, _ := newWorld(t, 3)
	var ids []uuid.UUID
	for range 10 {
		ids = append(ids, w.created())
	}
	r := w.owning(withLimits(func(l *applier.Limits) { l.BatchOperations, l.QueueOperations = 25, 60 }))
	for range 300 {
		id := ids[random.IntN(len(ids))]
		var ops []wallet.Operation
		for range 1 + random.IntN(4) {
			op := deposit(id, wallet.Amount(1+random.IntN(100)))
			if random.IntN(2) == 0 {
				op.Type = wallet.Withdraw
			}
			ops = append(ops, op)
		}
		if _, err := r.journal.Write(ops...); err != nil {
			t.Fatal(err)
		}
		if random.IntN(10) == 0 {
			w.append(ops...) // a second time, as after a retry
		}
	}
	w.settle()
}

func TestADuplicateGetsTheFirstOnesOutcome(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(w *world, op wallet.Operation){
		"in one record": func(w *world, op wallet.Operation) { w.append(op, op); w.owning() },
		"in one batch":  func(w *world, op wallet.Operation) { w.append(op); w.append(op); w.owning() },
		"in two batches": func(w *world, op wallet.Operation) {
			r := w.owning()
			w.append(op)
			r.outcome(op)
			w.append(op)
		},
		"after a restart": func(w *world, op wallet.Operation) {
			r := w.owning()
			w.append(op)
			r.outcome(op)
			r.close()
			w.append(op)
			w.owning()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, 1)
			id := w.created()
			op, before, after := deposit(id, 7), deposit(id, 100), withdraw(id, 107)
			w.append(before)
			place(w, op)
			w.append(after)
			last := w.replicas[len(w.replicas)-1]
			wantOutcome(t, last.outcome(op), wallet.Applied, wallet.NoReason, 2, 107)
			wantOutcome(t, last.outcome(after), wallet.Applied, wallet.NoReason, 3, 0)
			wantHistory(t, w.settle(), id, before, op, after)
		})
	}
}

func TestAReusedKeyGetsTheFirstOnesOperationAndAppliesNothing(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	id := w.created()
	first := deposit(id, 50)
	another, otherType := first, first
	another.Amount, otherType.Type = 51, wallet.Withdraw
	w.append(first, another)
	w.append(otherType)
	r := w.owning()
	r.outcome(first)
	w.append(another)
	b := w.settle()
	wantHistory(t, b, id, first)
	for _, c := range r.told.Commits() {
		for _, result := range c.Results {
			if !result.SameRequest(first) {
				t.Errorf("told %+v", result)
			}
		}
	}
}

// Invariant 4: a refusal is its own outcome only.
func TestARefusedOperationChangesNothingForItsNeighbours(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	a, b := w.created(), w.created()
	ops := []wallet.Operation{
		deposit(a, 10), withdraw(a, 11), deposit(b, 3), withdraw(a, 10),
		deposit(a, wallet.MaxAmount), deposit(a, 1), withdraw(b, 3), withdraw(b, 1), deposit(a, wallet.MaxAmount),
	}
	for _, op := range ops {
		w.append(op)
	}
	r := w.owning()
	r.outcome(ops[len(ops)-1])
	insufficient, overflow, fine := wallet.InsufficientFunds, wallet.BalanceOverflow, wallet.NoReason
	for i, want := range []struct {
		status   wallet.Status
		reason   wallet.Reason
		sequence int64
		balance  wallet.Amount
	}{
		{wallet.Applied, fine, 1, 10}, {wallet.Failed, insufficient, 2, 10}, {wallet.Applied, fine, 1, 3}, {wallet.Applied, fine, 3, 0},
		{wallet.Applied, fine, 4, wallet.MaxAmount}, {wallet.Failed, overflow, 5, wallet.MaxAmount}, {wallet.Applied, fine, 2, 0},
		{wallet.Failed, insufficient, 3, 0}, {wallet.Failed, overflow, 6, wallet.MaxAmount},
	} {
		wantOutcome(t, r.outcome(ops[i]), want.status, want.reason, want.sequence, want.balance)
	}
	w.settle()
}

func TestAnOperationOfAMissingWalletFailsAndItsLaterCreationIsNew(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	r, id, neighbour := w.owning(), uuid.New(), w.created()
	early, beside := deposit(id, 5), deposit(neighbour, 6)
	w.append(early)
	w.append(beside)
	wantOutcome(t, r.outcome(early), wallet.Failed, wallet.WalletMissing, 0, 0)
	wantOutcome(t, r.outcome(beside), wallet.Applied, wallet.NoReason, 1, 6)
	w.log.Append(create(id))
	w.append(early) // the same request again: it has its outcome for ever
	late := deposit(id, 8)
	w.append(late)
	wantOutcome(t, r.outcome(late), wallet.Applied, wallet.NoReason, 1, 8)
	wantOutcome(t, r.outcome(early), wallet.Failed, wallet.WalletMissing, 0, 0)
	wantHistory(t, w.settle(), id, late)
}

// That a wallet does not exist is never remembered: another replica may create it.
func TestAWalletCreatedElsewhereIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	r, id := w.owning(), uuid.New()
	early := deposit(id, 5)
	w.append(early)
	r.outcome(early)
	if err := w.ledger.Commit(testContext(t), &wallet.Batch{Creates: []wallet.Creation{{ID: id, At: epoch}}}); err != nil {
		t.Fatal(err)
	}
	late := deposit(id, 6)
	w.append(late)
	wantOutcome(t, r.outcome(late), wallet.Applied, wallet.NoReason, 1, 6)
	w.settle()
}

func TestACreationRecordCreatesOnceAndAllowsOperationsAtOnce(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	id, existing := uuid.New(), w.created()
	op, more, other := deposit(id, 5), deposit(existing, 6), deposit(id, 7)
	w.append(more)
	w.log.Append(create(id))
	w.append(op)
	w.log.Append(create(id))
	w.log.Append(create(existing))
	r := w.owning()
	wantOutcome(t, r.outcome(op), wallet.Applied, wallet.NoReason, 1, 5)
	w.log.Append(create(id))
	w.append(other)
	wantOutcome(t, r.outcome(other), wallet.Applied, wallet.NoReason, 2, 12)
	wantHistory(t, w.settle(), id, op, other)
}

// Invariant 6: the offset passes poison only once it is dead-lettered.
func TestPoisonHoldsThePartitionUntilItIsADeadLetter(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 2)
	r, id, other := w.replica(), uuid.UUID{15: 0}, uuid.UUID{15: 1}
	w.log.Append(create(id))
	w.log.Append(create(other))
	tries := make(chan struct{}, 1000)
	r.journal.Refuse(func(rec wallet.Record) error {
		if rec.Kind != wallet.KindPoison {
			return nil
		}
		tries <- struct{}{}
		return errors.New("not acknowledged")
	})
	ahead := deposit(id, 4)
	w.append(ahead)
	poison := w.log.AppendTo(0, wallet.Record{Kind: wallet.KindPoison, Poison: &wallet.Poison{Value: []byte("not json"), Err: errors.New("does not decode")}})
	behind, elsewhere := deposit(id, 5), deposit(other, 6)
	w.append(behind)
	w.append(elsewhere)
	r.journal.Own(0)
	r.journal.Own(1)
	r.outcome(ahead) // it does not wait for the dead letter
	for range 3 {
		wait(t, "the dead letter is tried again", tries)
	}
	r.outcome(elsewhere) // only its own partition is held
	if next := w.books().Offsets[0]; next > poison.Receipt.Offset {
		t.Fatalf("offset %d passed the poison at %d", next, poison.Receipt.Offset)
	}
	r.journal.Refuse(nil)
	r.outcome(behind)
	if dead := w.log.Dead(); len(dead) != 1 || string(dead[0].Poison.Value) != "not json" || dead[0].Receipt != poison.Receipt {
		t.Errorf("dead letters: %+v", dead)
	}
	w.settle()
}

func TestAPartitionIsReadFromTheLedgersOffset(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	id := w.created()
	first := w.owning()
	op := deposit(id, 5)
	w.append(op)
	first.outcome(op)
	first.close()
	second := w.owning()
	more := deposit(id, 6)
	w.append(more)
	second.outcome(more)
	if _, told, _ := second.told.Outcome(op.Key()); told {
		t.Error("a record before the offset was read again")
	}
	w.settle()
}

func TestAnotherTopicStopsThePartition(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	r := w.replica()
	if _, err := r.Assigned(testContext(t), uuid.New(), 0); !errors.Is(err, wallet.ErrTopicChanged) {
		t.Fatalf("%v", err)
	}
	if r.Owns(0) || !errors.Is(r.Stopped(), wallet.ErrTopicChanged) {
		t.Errorf("owned %t, stopped: %v", r.Owns(0), r.Stopped())
	}
	// The operator has decided: it goes on.
	if next, err := r.Assigned(testContext(t), w.log.Topic, 0); err != nil || next != 0 || r.Stopped() != nil || !r.Owns(0) {
		t.Errorf("%d, %v, stopped: %v", next, err, r.Stopped())
	}
}
