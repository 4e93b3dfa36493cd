package accept

import (
	"context"
	"testing"
	"time"

	"github.com/walletd/walletd/internal/wallet"
)

// repeats gives operations the ids of keys, and has the ledger know those that are said.
func (w *world) repeats(n int, had ...int) []wallet.Operation {
	ops := w.deposits(n)
	for i := range ops {
		ops[i].ID = wallet.OperationID(ops[i].WalletID, string(rune('a'+i)))
	}
	for _, i := range had {
		done := ops[i]
		done.AcceptedAt = time.Now().Add(-time.Hour)
		w.ledger.keep(done)
	}
	return ops
}

// Who does not want to wait is told what the ledger has under his key, and nothing is
// journaled for it.
func TestARepeatThatDoesNotWaitIsToldTheOutcome(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		op := w.repeats(1, 0)[0]
		if a := <-w.submit(t.Context(), op, 0); a.err != nil || !a.Replayed || a.Operation.Status != wallet.Applied {
			t.Errorf("%+v, %v", a.Outcome, a.err)
		}
		op.Amount++
		problem(t, (<-w.submit(t.Context(), op, 0)).err, wallet.CodeIdempotencyKeyReused)
		if written := w.journal.journaled(); len(written) != 0 {
			t.Errorf("journaled %+v", written)
		}
		w.nobodyIsLeft(t)
	})
}

func TestOfABulkThatDoesNotWaitOnlyTheNewIsJournaled(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		ops := w.repeats(5, 1, 3)
		ops[3].Amount++
		ops = append(ops, ops[0], ops[1]) // an item again: of a new one, of one that is there
		a := <-w.submitAll(t.Context(), ops, 0)
		if a.err != nil || statuses(a.outs) != "PaPRPpa" {
			t.Errorf("%s, %v", statuses(a.outs), a.err)
		}
		for i, out := range a.outs {
			if out.Operation.ID != ops[i].ID {
				t.Errorf("outcome %d is of another operation", i)
			}
		}
		if written := w.journal.journaled(); len(written) != 3 {
			t.Errorf("journaled %+v", written)
		}
		w.nobodyIsLeft(t)
	})
}

// The look is a courtesy: without it the ledger decides when it applies the record.
func TestARepeatThatDoesNotWaitIsPendingWhileTheLedgerDoesNotAnswer(t *testing.T) {
	for name, fail := range map[string]func(*fakeLedger){
		"down": func(l *fakeLedger) { l.err = errGone }, "slow": func(l *fakeLedger) { l.callErr = errGone },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				op := w.repeats(1, 0)[0]
				fail(w.ledger)
				if a := <-w.submit(t.Context(), op, 0); a.err != nil || a.Operation.Status != wallet.Pending {
					t.Errorf("%+v, %v", a.Outcome, a.err)
				}
			})
		})
	}
}

// The balance is renewed once, by the newest: a bulk is of one wallet. And a client that
// is gone is no ledger that does not answer.
func TestABulkOfRepeatsRenewsTheBalanceOnceAlsoForAClientThatIsGone(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		ops := w.repeats(5)
		for i, op := range ops {
			op.AcceptedAt = time.Now().Add(-time.Minute)
			done := w.ledger.keep(op)
			done.Sequence, done.AppliedAt = int64(i+1), time.Now()
			w.ledger.operations[done.Key()] = done
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if a := <-w.submitAll(gone, ops, 0); a.err != nil || statuses(a.outs) != "aaaaa" {
			t.Errorf("%s, %v", statuses(a.outs), a.err)
		}
		if n := len(w.balances.puts); n != 1 || w.balances.puts[0].Sequence != 5 {
			t.Errorf("put %+v", w.balances.puts)
		}
	})
}

// What has no key cannot have been asked for before, and costs no look.
func TestWithoutAKeyNothingIsLookedFor(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		if a := <-w.submit(t.Context(), w.deposit(1), 0); a.err != nil || a.Operation.Status != wallet.Pending {
			t.Errorf("%+v, %v", a.Outcome, a.err)
		}
		if len(w.ledger.outcomes) != 0 {
			t.Errorf("asked for %v", w.ledger.outcomes)
		}
	})
}
