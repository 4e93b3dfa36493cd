package accept

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// applies is a direct way that works.
func applies(_ context.Context, op wallet.Operation) (wallet.Operation, error) {
	op.Status, op.Origin, op.Sequence, op.BalanceAfter = wallet.Applied, wallet.Direct, 1, op.Amount
	return op, nil
}

func fails(err error) func(context.Context, wallet.Operation) (wallet.Operation, error) {
	return func(context.Context, wallet.Operation) (wallet.Operation, error) { return wallet.Operation{}, err }
}

func TestWhatTheJournalDoesNotAcknowledgeIsAppliedDirectlyUnderTheSameID(t *testing.T) {
	for _, journalErr := range []error{wallet.ErrNotJournaled, wallet.ErrUnacknowledged} {
		t.Run(journalErr.Error(), func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				w.journal.err, w.applier.direct = journalErr, applies
				op := w.deposit(5)
				out, err := w.Submit(t.Context(), op, 0) // answered after the commit, whatever the wait
				got := out.Operation
				if err != nil || !got.SameRequest(op) || got.Status != wallet.Applied || got.Origin != wallet.Direct || out.Replayed {
					t.Errorf("%+v, %v", out, err)
				}
				if written := w.journal.journaled(); len(w.applier.directed) != 1 || w.applier.directed[0] != written[0] {
					t.Errorf("journaled %+v, applied %+v", written, w.applier.directed)
				}
				w.nobodyIsLeft(t)
			})
		})
	}
}

// The lane of a wallet that another replica has made may be retired while the journal is
// waited for, and with it that the wallet exists.
func TestTheDirectWayKnowsAWalletThatWasForgottenMeanwhile(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.journal.err, w.journal.held = wallet.ErrUnacknowledged, make(chan struct{})
		op := wallet.Operation{ID: uuid.New(), WalletID: uuid.New(), Type: wallet.Deposit, Amount: 5}
		w.balances.known[op.WalletID] = true
		known := false
		w.applier.direct = func(ctx context.Context, op wallet.Operation) (wallet.Operation, error) {
			known = w.applier.KnowsWallet(op.WalletID)
			return applies(ctx, op)
		}
		answered := make(chan error)
		go func() { _, err := w.Submit(t.Context(), op, 0); answered <- err }()
		synctest.Wait()
		w.applier.mu.Lock()
		delete(w.applier.known, op.WalletID)
		w.applier.mu.Unlock()
		close(w.journal.held)
		if err := <-answered; err != nil || !known {
			t.Errorf("%v, known: %t", err, known)
		}
	})
}

func TestDirectWayAnswersAKeyLikeTheJournalDoes(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.journal.err = wallet.ErrNotJournaled
		op := w.deposit(5)
		before := op
		before.AcceptedAt, before.Status = time.Now().Add(-time.Hour).UTC(), wallet.Applied
		w.applier.direct = func(context.Context, wallet.Operation) (wallet.Operation, error) { return before, nil }
		if out, err := w.Submit(t.Context(), op, 0); err != nil || !out.Replayed || out.Operation != before {
			t.Errorf("%+v, %v", out, err)
		}
		op.Amount = 6
		_, err := w.Submit(t.Context(), op, 0)
		if e := problem(t, err, wallet.CodeIdempotencyKeyReused); *e.Operation != before {
			t.Errorf("%+v", e)
		}
	})
}

// not_applied is said only if nothing was handed to the producer or the ledger.
func TestWhatNothingCanTakeIsRefusedWithTheHonestFate(t *testing.T) {
	known := &wallet.Error{Code: wallet.CodeUnavailable} // the direct way has applied nothing
	noTurn := &wallet.Error{Code: wallet.CodeOverloaded, Fate: wallet.NotApplied}
	for _, c := range []struct {
		journal, direct error
		ledgerDown      bool
		want            wallet.Fate
		code            wallet.Code // "": CodeUnavailable
	}{
		{journal: wallet.ErrNotJournaled, ledgerDown: true, want: wallet.NotApplied},
		{journal: wallet.ErrUnacknowledged, ledgerDown: true, want: wallet.Unknown},
		{journal: errGone, ledgerDown: true, want: wallet.Unknown}, // anything else may have been handed over
		{journal: wallet.ErrNotJournaled, direct: known, want: wallet.NotApplied},
		{journal: wallet.ErrUnacknowledged, direct: known, want: wallet.Unknown},
		{journal: wallet.ErrNotJournaled, direct: noTurn, want: wallet.NotApplied, code: wallet.CodeOverloaded},
		{journal: wallet.ErrUnacknowledged, direct: noTurn, want: wallet.Unknown},
		{journal: wallet.ErrNotJournaled, direct: wallet.ErrUnavailable, want: wallet.Unknown},
		{journal: wallet.ErrNotJournaled, direct: context.DeadlineExceeded, want: wallet.Unknown},
		{journal: wallet.ErrUnacknowledged, direct: wallet.ErrUnavailable, want: wallet.Unknown},
	} {
		t.Run(fmt.Sprintf("%v, %v, ledger down %t", c.journal, c.direct, c.ledgerDown), func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				w.journal.err, w.applier.direct = c.journal, fails(c.direct)
				if c.ledgerDown {
					w.ledger.fall()
				}
				_, err := w.Submit(t.Context(), w.deposit(5), time.Second)
				if e := problem(t, err, cmp.Or(c.code, wallet.CodeUnavailable)); e.Fate != c.want || e.RetryAfter <= 0 {
					t.Errorf("%+v", e)
				}
				if c.ledgerDown && len(w.applier.directed) != 0 {
					t.Error("a ledger that is down was tried")
				}
				w.nobodyIsLeft(t)
			})
		})
	}
}

func TestDirectWayGoesOnWithoutItsClientAndIsBounded(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.journal.err = wallet.ErrUnacknowledged
		w.applier.direct = func(ctx context.Context, op wallet.Operation) (wallet.Operation, error) {
			<-ctx.Done() // a commit that never ends
			return op, ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a := <-w.submit(ctx, w.deposit(5), 0)
		e := problem(t, a.err, wallet.CodeUnavailable)
		if e.Fate != wallet.Unknown || !errors.Is(e, context.DeadlineExceeded) || a.after != wide.DirectTimeout {
			t.Errorf("%+v after %s", e, a.after)
		}
	})
}

// A record that was not acknowledged may be applied all the same: an outcome that has
// come by the time the direct way fails is the answer.
func TestAnOutcomeThatHasComeIsTheAnswerWhateverTheDirectWaySays(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.journal.err = wallet.ErrUnacknowledged
		w.applier.direct = func(ctx context.Context, op wallet.Operation) (wallet.Operation, error) {
			done, _ := applies(ctx, op)
			w.Complete([]wallet.Operation{done})
			return op, wallet.ErrUnavailable
		}
		out, err := w.Submit(t.Context(), w.deposit(5), time.Second)
		if err != nil || out.Operation.Status != wallet.Applied || out.Replayed {
			t.Errorf("%+v, %v", out, err)
		}
		w.nobodyIsLeft(t)
	})
}
