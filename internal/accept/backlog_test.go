package accept

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// leftOver makes what was journaled unsettled, as the applier has it.
func (w *world) leftOver() {
	w.applier.mu.Lock()
	defer w.applier.mu.Unlock()
	w.applier.unsettled = w.journal.journaled()
}

// settled has the first n unsettled ones get their outcome.
func (w *world) settled(n int) {
	w.applier.mu.Lock()
	defer w.applier.mu.Unlock()
	w.applier.unsettled = w.applier.unsettled[n:]
	w.applier.settled += int64(n)
}

// ask submits an operation of a wallet that does not wait for its outcome.
func (w *world) ask(t *testing.T, like wallet.Operation) error {
	t.Helper()
	like.ID = uuid.New()
	_, err := w.Submit(t.Context(), like, 0)
	if err == nil {
		w.leftOver()
	}
	return err
}

func TestWhatWasAnswered202CountsUntilItsOutcome(t *testing.T) {
	inWorld(t, Limits{WalletOperations: 10, Operations: 12}, func(t *testing.T, w *world) {
		op, other := w.deposit(5), w.deposit(5)
		for range 10 {
			if err := w.ask(t, op); err != nil {
				t.Fatal(err)
			}
		}
		if e := problem(t, w.ask(t, op), wallet.CodeOverloaded); e.Fate != wallet.NotApplied || e.RetryAfter != retrySoon {
			t.Errorf("%+v", e)
		}
		for range 2 {
			if err := w.ask(t, other); err != nil {
				t.Errorf("another wallet, within the replica's bound: %v", err)
			}
		}
		problem(t, w.ask(t, other), wallet.CodeOverloaded)
		<-time.After(2 * time.Second)
		w.settled(4)
		if err := w.ask(t, op); err != nil {
			t.Errorf("there is room: %v", err)
		}
	})
}

// The wait for a component that is down has no bound: what was accepted meanwhile
// does not count, and what comes afterwards does.
func TestWhatWasAcceptedWhileTheLedgerWasDownIsForgiven(t *testing.T) {
	inWorld(t, Limits{WalletOperations: 10, Operations: 15}, func(t *testing.T, w *world) {
		defer w.run(t)()
		w.ledger.fall()
		op := w.deposit(5)
		for range 40 {
			<-time.After(pollEvery)
			if err := w.ask(t, op); err != nil {
				t.Fatalf("while the ledger is down: %v", err)
			}
		}
		<-time.After(2 * pollEvery)
		w.ledger.mu.Lock()
		w.ledger.err, w.ledger.down = nil, make(chan struct{})
		w.ledger.mu.Unlock()
		<-time.After(2 * pollEvery)
		for i := range 10 {
			if err := w.ask(t, op); err != nil {
				t.Fatalf("%d after the ledger came back: %v", i, err)
			}
		}
		problem(t, w.ask(t, op), wallet.CodeOverloaded)
		w.applier.mu.Lock()
		w.applier.unsettled, w.applier.settled = w.applier.unsettled[40:], 40
		w.applier.mu.Unlock()
		<-time.After(2 * pollEvery)
		for range 5 {
			if _, err := w.Submit(context.WithoutCancel(t.Context()), w.deposit(1), 0); err != nil {
				t.Fatalf("the replica has room for 5: %v", err)
			}
			w.applier.mu.Lock()
			w.applier.unsettled = append(w.applier.unsettled, w.journal.journaled()[len(w.journal.journaled())-1])
			w.applier.mu.Unlock()
		}
		_, err := w.Submit(t.Context(), w.deposit(1), 0)
		problem(t, err, wallet.CodeOverloaded) // what was forgiven is applied: the bound is whole again
	})
}

// hungLedger answers no look until the test lets it.
type hungLedger struct {
	*fakeLedger
	hung chan struct{}
}

func (l hungLedger) FullLists(ctx context.Context, length int) ([]uuid.UUID, error) {
	<-l.hung
	return l.fakeLedger.FullLists(ctx, length)
}

// A ledger that hangs is known to be down before a look at it has ended.
func TestWhatIsAcceptedIsForgivenWhileALookAtTheLedgerHangs(t *testing.T) {
	inWorld(t, Limits{WalletOperations: 10, Operations: 15}, func(t *testing.T, w *world) {
		hung := make(chan struct{})
		w.Ledger = hungLedger{w.ledger, hung}
		defer w.run(t)()
		defer close(hung)
		<-time.After(pollEvery + pollEvery/2) // the look is under way
		op := w.deposit(5)
		for range 10 {
			if err := w.ask(t, op); err != nil {
				t.Fatal(err)
			}
		}
		w.ledger.fall()
		for range 40 {
			<-time.After(pollEvery)
			if err := w.ask(t, op); err != nil {
				t.Fatalf("while the ledger is down: %v", err)
			}
		}
	})
}

// The clock may be put back: acceptance goes on from where it was.
func TestWhatIsAcceptedAfterTheClockWasPutBackIsForgivenToo(t *testing.T) {
	inWorld(t, Limits{WalletOperations: 10, Operations: 15}, func(t *testing.T, w *world) {
		op := w.deposit(5)
		if err := w.ask(t, op); err != nil {
			t.Fatal(err)
		}
		now := w.Now()
		back := func() time.Time { return now.Add(-time.Hour) }
		w.Intake.Now, w.gates.now = back, back
		defer w.run(t)()
		w.ledger.fall()
		for range 40 {
			<-time.After(pollEvery)
			if err := w.ask(t, op); err != nil {
				t.Fatalf("while the ledger is down: %v", err)
			}
		}
	})
}

func TestAGateIsKeptWhileItsWalletHasABacklogAndNoLonger(t *testing.T) {
	inWorld(t, Limits{WalletOperations: 10, Operations: 100}, func(t *testing.T, w *world) {
		defer w.run(t)()
		op := w.deposit(5)
		for range 10 {
			if err := w.ask(t, op); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(5 * time.Second)
		w.settled(1)
		if err := w.ask(t, op); err != nil {
			t.Fatal(err)
		}
		w.leftOver() // the fake's ten again
		if e := problem(t, w.ask(t, op), wallet.CodeOverloaded); e.RetryAfter < 4*time.Second {
			t.Errorf("one in five seconds is applied, and it is told %s", e.RetryAfter)
		}
		w.applier.mu.Lock()
		w.applier.unsettled = nil
		w.applier.mu.Unlock()
		<-time.After(2 * progressEvery)
		w.nobodyIsLeft(t)
	})
}
