package accept

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// deposits are n operations of one wallet that the world then knows.
func (w *world) deposits(n int) []wallet.Operation {
	ops := make([]wallet.Operation, n)
	for i := range ops {
		ops[i] = w.deposit(wallet.Amount(i + 1))
		ops[i].WalletID = ops[0].WalletID
	}
	return ops
}

// answers is what a bulk was answered.
type answers struct {
	outs  []wallet.Outcome
	err   error
	after time.Duration
}

func (w *world) submitAll(ctx context.Context, ops []wallet.Operation, wait time.Duration) <-chan answers {
	answered, began := make(chan answers, 1), time.Now()
	go func() {
		outs, err := w.SubmitAll(ctx, slices.Clone(ops), wait)
		answered <- answers{outs, err, time.Since(began)}
	}()
	synctest.Wait()
	return answered
}

// statuses are P, A or F for each outcome; small if it is replayed, R if the key was reused.
func statuses(outs []wallet.Outcome) string {
	text := []byte{}
	for _, out := range outs {
		c := out.Operation.Status.String()[0]
		if out.Replayed {
			c += 'a' - 'A'
		}
		if out.KeyReused {
			c = 'R'
		}
		text = append(text, c)
	}
	return string(text)
}

func TestABulkIsOneWriteAndItsOutcomesAreInOrder(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		ops := w.deposits(5)
		answered := w.submitAll(t.Context(), ops, time.Second)
		<-time.After(100 * time.Millisecond)
		written := w.journal.journaled()
		if w.journal.writes != 1 || len(written) != 5 {
			t.Fatalf("%d writes of %d operations", w.journal.writes, len(written))
		}
		for _, i := range []int{3, 0, 4, 2} {
			w.Complete([]wallet.Operation{w.ledger.keep(written[i])})
		}
		<-time.After(100 * time.Millisecond)
		failed := written[1]
		failed.Status, failed.Reason = wallet.Failed, wallet.InsufficientFunds
		w.Complete([]wallet.Operation{failed})
		a := <-answered
		if a.err != nil || statuses(a.outs) != "AFAAA" || a.after != 200*time.Millisecond {
			t.Fatalf("%s, %v after %s", statuses(a.outs), a.err, a.after)
		}
		for i, out := range a.outs {
			if !out.Operation.SameRequest(ops[i]) || !out.Operation.AcceptedAt.Equal(written[0].AcceptedAt) {
				t.Errorf("outcome %d is %+v", i, out)
			}
		}
		w.nobodyIsLeft(t)
	})
}

func TestABulksWaitEndsWithWhatIsKnown(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		ops := w.deposits(4)
		answered := w.submitAll(t.Context(), ops, time.Second)
		w.Complete([]wallet.Operation{w.ledger.keep(w.journal.journaled()[0]), w.ledger.keep(w.journal.journaled()[2])})
		a := <-answered
		if a.err != nil || statuses(a.outs) != "APAP" || a.after != time.Second {
			t.Fatalf("%s, %v after %s", statuses(a.outs), a.err, a.after)
		}
		for _, i := range []int{1, 3} {
			if op := a.outs[i].Operation; !op.SameRequest(ops[i]) || !op.Receipt.Known() {
				t.Errorf("%+v", op)
			}
		}
		w.nobodyIsLeft(t)
		w.Complete([]wallet.Operation{w.ledger.keep(w.journal.journaled()[1])}) // too late, and nobody's
		if statuses(a.outs) != "APAP" {
			t.Error("an answer changed after it was given")
		}
	})
}

func TestABulkThatDoesNotWaitIsPendingWhateverCame(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.journal.held = make(chan struct{})
		answered := w.submitAll(t.Context(), w.deposits(2), 0)
		for _, op := range w.journal.journaled() {
			w.Complete([]wallet.Operation{w.ledger.keep(op)})
		}
		close(w.journal.held)
		if a := <-answered; a.err != nil || statuses(a.outs) != "PP" || !a.outs[1].Operation.Receipt.Known() {
			t.Errorf("%+v, %v", a.outs, a.err)
		}
	})
}

// What an item is told follows from the operation that the ledger has, also where
// its own request's first item with the key was not the one. Until that is known one that
// contradicts the first is no replay of it.
func TestAKeyThatIsThereAgainIsAReplayOfItsFirstOccurrence(t *testing.T) {
	for name, c := range map[string]struct {
		amounts []wallet.Amount // of the items, all under one key
		has     wallet.Amount   // of an earlier operation; 0: none
		want    string
		pending string
	}{
		"first":       {[]wallet.Amount{5, 5, 6}, 0, "AaR", "PpP"},
		"another has": {[]wallet.Amount{5, 5, 6}, 5, "aaR", "PpP"},
		"the later":   {[]wallet.Amount{5, 6, 5, 6}, 6, "RaRa", "PPpP"},
		"none":        {[]wallet.Amount{5, 5}, 7, "RR", "Pp"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				ops := w.deposits(len(c.amounts) + 1)
				for i, amount := range c.amounts {
					ops[i+1].ID, ops[i+1].Amount = ops[1].ID, amount
				}
				pending, waited := w.submitAll(t.Context(), ops, 0), w.submitAll(t.Context(), ops, time.Second)
				written := w.journal.journaled()
				if len(written) != 4 || written[1].Amount != c.amounts[0] {
					t.Fatalf("journaled %+v", written)
				}
				done := written[3] // of the request that waits
				if c.has > 0 {
					done.Amount, done.AcceptedAt = c.has, time.Now().Add(-time.Hour)
				}
				w.Complete([]wallet.Operation{w.ledger.keep(written[2]), w.ledger.keep(done)})
				if a := <-pending; a.err != nil || statuses(a.outs) != "P"+c.pending {
					t.Errorf("not known yet: %s, %v, want P%s", statuses(a.outs), a.err, c.pending)
				}
				if a := <-waited; a.err != nil || statuses(a.outs) != "A"+c.want {
					t.Errorf("%s, %v, want A%s", statuses(a.outs), a.err, c.want)
				}
				w.nobodyIsLeft(t)
			})
		})
	}
}

func TestABulkAndASingleWithOneKeyShareAnOutcome(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		ops := w.deposits(3)
		bulk, single := w.submitAll(t.Context(), ops, time.Second), w.submit(t.Context(), ops[1], time.Second)
		again := w.submitAll(t.Context(), ops[1:], 500*time.Millisecond)
		for _, op := range w.journal.journaled()[:2] {
			w.Complete([]wallet.Operation{w.ledger.keep(op)})
		}
		if a := <-single; a.err != nil || !a.Replayed || a.Operation.Status != wallet.Applied {
			t.Errorf("%+v, %v", a.Outcome, a.err)
		}
		if a := <-again; a.err != nil || statuses(a.outs) != "aP" || a.after != 500*time.Millisecond {
			t.Errorf("%s, %v after %s", statuses(a.outs), a.err, a.after)
		}
		w.Complete([]wallet.Operation{w.ledger.keep(w.journal.journaled()[2])})
		if a := <-bulk; a.err != nil || statuses(a.outs) != "AAA" {
			t.Errorf("%s, %v", statuses(a.outs), a.err)
		}
		w.nobodyIsLeft(t)
	})
}

func TestABulkGoesTheDirectWayAsAWhole(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.journal.err, w.applier.direct = wallet.ErrNotJournaled, applies
		ops := w.deposits(3)
		ops = append(ops, ops[0])
		a := <-w.submitAll(t.Context(), ops, 0) // answered after the commit, whatever the wait
		if a.err != nil || statuses(a.outs) != "AAAa" || w.applier.calls != 1 || len(w.applier.directed) != 3 {
			t.Errorf("%s, %v; %d operations in %d calls", statuses(a.outs), a.err, len(w.applier.directed), w.applier.calls)
		}
		w.applier.direct = fails(wallet.ErrUnavailable)
		a = <-w.submitAll(t.Context(), ops, 0)
		if e := problem(t, a.err, wallet.CodeUnavailable); e.Fate != wallet.Unknown {
			t.Errorf("%+v", e)
		}
		w.nobodyIsLeft(t)
	})
}

func TestABulkCountsAsItsOperations(t *testing.T) {
	inWorld(t, Limits{WalletOperations: 10, Operations: 25}, func(t *testing.T, w *world) {
		w.journal.held = make(chan struct{})
		ops := w.deposits(10)
		under := []<-chan answers{w.submitAll(t.Context(), ops[:4], 0), w.submitAll(t.Context(), ops[4:], 0)}
		_, err := w.Submit(t.Context(), ops[0], 0)
		problem(t, err, wallet.CodeOverloaded)
		longer := w.deposits(15) // longer than the bound of a wallet: in where nothing else waits
		under = append(under, w.submitAll(t.Context(), longer, 0))
		_, err = w.SubmitAll(t.Context(), w.deposits(2), 0)
		if e := problem(t, err, wallet.CodeOverloaded); e.RetryAfter < time.Second || e.Fate != wallet.NotApplied {
			t.Errorf("%+v", e)
		}
		if n := len(w.journal.journaled()); n != 25 {
			t.Errorf("%d journaled", n)
		}
		close(w.journal.held)
		for _, answered := range under {
			if a := <-answered; a.err != nil {
				t.Error(a.err)
			}
		}
		if a := <-w.submitAll(t.Context(), w.deposits(100), 0); a.err != nil {
			t.Errorf("longer than the bound of the replica, with nothing else under way: %v", a.err)
		}
		w.nobodyIsLeft(t)
	})
}

func TestABulkOfAnUnknownWalletIsRefusedBeforeAnythingIsJournaled(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		ops := w.deposits(2)
		ops[0].WalletID, ops[1].WalletID = uuid.Max, uuid.Max
		_, err := w.SubmitAll(t.Context(), ops, 0)
		problem(t, err, wallet.CodeWalletNotFound)
		if len(w.journal.journaled()) > 0 {
			t.Error("journaled")
		}
		w.nobodyIsLeft(t)
	})
}

func TestOutcomesOfABulkThatNobodyAnnouncesAreReadTogether(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.balances.deaf = true
		defer w.run(t)()
		answered := w.submitAll(t.Context(), w.deposits(1000), 30*time.Second)
		w.Complete([]wallet.Operation{w.ledger.keep(w.journal.journaled()[7])})
		w.commit()
		if a := <-answered; a.err != nil || a.after > 2*pollEvery || slices.ContainsFunc(a.outs, func(o wallet.Outcome) bool { return o.Operation.Status != wallet.Applied }) {
			t.Errorf("%s, %v after %s", statuses(a.outs), a.err, a.after)
		}
		if counts := w.ledger.polled(); !slices.Equal(counts, []int{999}) {
			t.Errorf("reads of %v", counts)
		}
	})
}

func TestClosingAndALostLedgerEndABulksWait(t *testing.T) {
	for name, end := range map[string]func(*world){
		"closing": func(w *world) { w.Close() }, "ledger": func(w *world) { w.ledger.fall() },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				stop := w.run(t)
				defer stop()
				answered := w.submitAll(t.Context(), w.deposits(3), 30*time.Second)
				<-time.After(time.Second)
				end(w)
				if a := <-answered; a.err != nil || statuses(a.outs) != "PPP" || a.after != time.Second {
					t.Errorf("%s, %v after %s", statuses(a.outs), a.err, a.after)
				}
			})
		})
	}
}

// Requests that come, settle and give up at the same time, under few keys.
func TestWaitersComeAndGoAtOnce(t *testing.T) {
	w := newWorld(wide)
	id := uuid.New()
	w.applier.NoteExists(id)
	ids := make([]uuid.UUID, 20)
	for i := range ids {
		ids[i] = uuid.New()
	}
	ended := make(chan error)
	for g := range 8 {
		go func() {
			for i := range 300 {
				ops := make([]wallet.Operation, 1+(i+g)%12)
				for k := range ops {
					ops[k] = wallet.Operation{ID: ids[(i*7+k*(1+g))%len(ids)], WalletID: id, Type: wallet.Deposit, Amount: 1}
				}
				if i%2 == 0 {
					w.Complete(ops)
					continue
				}
				outs, err := w.SubmitAll(context.Background(), ops, time.Duration(i%3)*50*time.Microsecond)
				if err == nil && len(outs) != len(ops) {
					err = errors.New("an outcome is missing")
				}
				if err != nil {
					ended <- err
					return
				}
			}
			ended <- nil
		}()
	}
	for range 8 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	w.nobodyIsLeft(t)
}

func BenchmarkSubmit(b *testing.B) {
	w := newWorld(wide)
	op := w.deposit(5)
	b.ReportAllocs()
	for b.Loop() {
		op.ID = uuid.New()
		w.journal.written = w.journal.written[:0]
		if _, err := w.Submit(context.Background(), op, 0); err != nil {
			b.Fatal(err)
		}
	}
}
