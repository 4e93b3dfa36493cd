package accept

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// accepted fails unless the answer is a journaled operation, PENDING, after d.
func accepted(t *testing.T, a answer, op wallet.Operation, d time.Duration) {
	t.Helper()
	got := a.Operation
	if a.err != nil || got.Status != wallet.Pending || !got.SameRequest(op) || !got.Receipt.Known() || a.Replayed || a.after != d {
		t.Errorf("%+v, %v after %s, want PENDING after %s", a.Outcome, a.err, a.after, d)
	}
}

func TestNoWaitAnswersPendingAtOnceWithItsReceipt(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		op := w.deposit(5)
		accepted(t, <-w.submit(t.Context(), op, 0), op, 0)
		written := w.journal.journaled()[0]
		if !written.SameRequest(op) || written.AcceptedAt.IsZero() || written.Receipt.Known() {
			t.Errorf("journaled %+v", written)
		}
		w.nobodyIsLeft(t)
	})
}

func TestWaitEndsWithTheOutcome(t *testing.T) {
	for _, status := range []wallet.Status{wallet.Applied, wallet.Failed} {
		t.Run(status.String(), func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				op := w.deposit(5)
				answered := w.submit(t.Context(), op, time.Second)
				<-time.After(300 * time.Millisecond)
				done := w.journal.journaled()[0]
				done.Status, done.Sequence, done.BalanceAfter = status, 3, 20
				w.Complete([]wallet.Operation{done})
				a := <-answered
				if a.err != nil || a.Operation != done || a.Replayed || a.after != 300*time.Millisecond {
					t.Errorf("%+v, %v after %s", a.Outcome, a.err, a.after)
				}
				w.nobodyIsLeft(t)
			})
		})
	}
}

// The owner of the partition may be faster than the answer of the journal.
func TestOutcomeThatComesBeforeTheReceiptIsNotLost(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.journal.held = make(chan struct{})
		answered := w.submit(t.Context(), w.deposit(5), time.Second)
		w.Complete([]wallet.Operation{w.ledger.keep(w.journal.journaled()[0])})
		close(w.journal.held)
		if a := <-answered; a.err != nil || a.Operation.Status != wallet.Applied || a.after != 0 {
			t.Errorf("%+v, %v after %s", a.Outcome, a.err, a.after)
		}
	})
}

func TestWaitEndsPendingWhenItIsOver(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		op := w.deposit(5)
		accepted(t, <-w.submit(t.Context(), op, 700*time.Millisecond), op, 700*time.Millisecond)
		w.nobodyIsLeft(t)
	})
}

func TestLedgerGoingDownEndsTheWaitAtOnce(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		op := w.deposit(5)
		stop := w.run(t)
		defer stop()
		answered := w.submit(t.Context(), op, 30*time.Second)
		<-time.After(100 * time.Millisecond)
		w.ledger.fall()
		accepted(t, <-answered, op, 100*time.Millisecond)
	})
}

func TestNobodyWaitsWhileTheLedgerIsDown(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.ledger.fall()
		op := w.deposit(5)
		accepted(t, <-w.submit(t.Context(), op, 30*time.Second), op, 0)
	})
}

func TestCloseEndsAllWaits(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		ops := []wallet.Operation{w.deposit(5), w.deposit(6)}
		first, second := w.submit(t.Context(), ops[0], 30*time.Second), w.submit(t.Context(), ops[1], 30*time.Second)
		<-time.After(time.Second)
		w.Close()
		w.Close() // once more does nothing
		accepted(t, <-first, ops[0], time.Second)
		accepted(t, <-second, ops[1], time.Second)
	})
}

func TestDrainLetsWaitsGoOnForAMoment(t *testing.T) {
	for name, c := range map[string]struct{ until, want time.Duration }{
		"grace":       {time.Minute, waitGrace},
		"no one left": {time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				op := w.deposit(5)
				answered := w.submit(t.Context(), op, 30*time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), c.until)
				defer cancel()
				w.Drain(ctx)
				accepted(t, <-answered, op, c.want)
			})
		})
	}
}

// Nor does it end the wait: a client that has closed only its own direction is there.
func TestClientWhoGoesAwayTakesNothingBack(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		answered := w.submit(ctx, w.deposit(5), 30*time.Second)
		<-time.After(time.Second)
		cancel()
		<-time.After(time.Second)
		w.Complete([]wallet.Operation{w.ledger.keep(w.journal.journaled()[0])})
		if a := <-answered; a.err != nil || a.Operation.Status != wallet.Applied || a.after != 2*time.Second {
			t.Errorf("%+v, %v after %s", a.Outcome, a.err, a.after)
		}
		w.nobodyIsLeft(t)
	})
}

// keyed are two requests under one idempotency key, in the order in which they
// were journaled.
func (w *world) keyed(t *testing.T, first, second wallet.Operation) (answers [2]<-chan answer) {
	t.Helper()
	second.ID, second.WalletID = first.ID, first.WalletID
	for i, op := range []wallet.Operation{first, second} {
		answers[i] = w.submit(t.Context(), op, time.Second)
	}
	return answers
}

func TestTwoRequestsWithOneKeyGetOneOriginalAndOneReplay(t *testing.T) {
	for winner := range 2 { // through another replica either may come first
		inWorld(t, wide, func(t *testing.T, w *world) {
			answers := w.keyed(t, w.deposit(5), w.deposit(5))
			done := w.ledger.keep(w.journal.journaled()[winner])
			w.Complete([]wallet.Operation{done})
			w.Complete([]wallet.Operation{done}) // the second one's record is a duplicate with the same outcome
			for i, answered := range answers {
				a := <-answered
				if a.err != nil || a.Operation != done || a.Replayed != (i != winner) {
					t.Errorf("winner %d, request %d: %+v, %v", winner, i, a.Outcome, a.err)
				}
			}
			w.nobodyIsLeft(t)
		})
	}
}

// Another replica may have accepted a request with that key in the same microsecond. Where
// the first one's record is says whose it was.
func TestTheLaterOfTwoSimultaneousRequestsIsTheReplay(t *testing.T) {
	own := wallet.Receipt{Partition: 4, Offset: 0} // as the fake journal numbers it
	for applied, replayed := range map[wallet.Receipt]bool{
		own: false, {Partition: 4, Offset: 7}: true, {Partition: 3, Offset: 0}: true,
		wallet.NoReceipt: false, // directly: its record is to follow
	} {
		inWorld(t, wide, func(t *testing.T, w *world) {
			answered := w.submit(t.Context(), w.deposit(5), time.Second)
			done := w.ledger.keep(w.journal.journaled()[0])
			done.Receipt = applied
			w.Complete([]wallet.Operation{done})
			if a := <-answered; a.err != nil || a.Operation != done || a.Replayed != replayed {
				t.Errorf("applied at %s: %+v, %v", applied, a.Outcome, a.err)
			}
			w.nobodyIsLeft(t)
		})
	}
}

func TestKeyOfAnotherRequestIsRefusedWithTheFirstOperation(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		withdraw := w.deposit(5)
		withdraw.Type = wallet.Withdraw
		for _, other := range []wallet.Operation{w.deposit(6), withdraw} {
			answers := w.keyed(t, w.deposit(5), other)
			written := w.journal.journaled()
			done := w.ledger.keep(written[len(written)-2])
			w.Complete([]wallet.Operation{done})
			if a := <-answers[0]; a.err != nil || a.Operation != done || a.Replayed {
				t.Errorf("first: %+v, %v", a.Outcome, a.err)
			}
			e := problem(t, (<-answers[1]).err, wallet.CodeIdempotencyKeyReused)
			if e.Operation == nil || *e.Operation != done || e.Fate == wallet.Unknown {
				t.Errorf("second: %+v", e)
			}
		}
	})
}

// Ids are unique within a wallet only.
func TestOutcomeOfAnotherWalletsOperationWithTheSameIDIsNotTaken(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		op := w.deposit(5)
		answered := w.submit(t.Context(), op, time.Second)
		foreign := op
		foreign.WalletID = uuid.New()
		w.Complete([]wallet.Operation{foreign})
		accepted(t, <-answered, op, time.Second)
	})
}

// Two requests under one key are told apart by when they were accepted.
func TestAcceptedAtNeverRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(wide)
		jumps := []time.Duration{0, 0, -time.Hour, time.Nanosecond, time.Millisecond, -time.Microsecond}
		var mu sync.Mutex
		calls, start := 0, time.Now()
		w.Now = func() time.Time { // a clock that stands still and is set back
			mu.Lock()
			defer mu.Unlock()
			calls++
			return start.Add(jumps[calls%len(jumps)])
		}
		seen := map[time.Time]bool{}
		var tickers sync.WaitGroup
		for range 8 {
			tickers.Go(func() {
				last := time.Time{}
				for range 1000 {
					at := w.tick()
					mu.Lock()
					if seen[at] || !at.After(last) || at != at.Truncate(time.Microsecond) {
						t.Errorf("%s after %s, seen: %t", at, last, seen[at])
					}
					seen[at], last = true, at
					mu.Unlock()
				}
			})
		}
		tickers.Wait()
	})
}
