package accept

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/walletd/walletd/internal/wallet"
)

// A 202 is a promise that only the journal can make: whatever ends the wait for an
// outcome, there is no answer before the journal's.
func TestNothingIsPromisedBeforeTheJournalHasAnswered(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"the wait is over":     func(*world) {},
		"the ledger is down":   func(w *world) { w.ledger.fall() },
		"the replica closes":   func(w *world) { w.Close() },
		"nobody wants to wait": nil,
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				w.journal.held = make(chan struct{})
				op, wait := w.deposit(5), time.Second
				if end == nil {
					wait = 0
				}
				answered := w.submit(t.Context(), op, wait)
				if synctest.Wait(); end != nil {
					end(w)
				}
				select {
				case a := <-answered:
					t.Fatalf("answered before the journal: %+v, %v", a.Outcome, a.err)
				case <-time.After(3 * time.Second):
				}
				close(w.journal.held)
				accepted(t, <-answered, op, 3*time.Second)
				w.nobodyIsLeft(t)
			})
		})
	}
}

// An outcome is more than the journal's promise: nobody waits for that then.
func TestAnOutcomeIsAnsweredWithoutTheJournalsAnswer(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.journal.held = make(chan struct{})
		defer close(w.journal.held)
		answered := w.submit(t.Context(), w.deposit(5), time.Second)
		synctest.Wait()
		w.Complete([]wallet.Operation{w.ledger.keep(w.journal.journaled()[0])})
		if a := <-answered; a.err != nil || a.Operation.Status != wallet.Applied || a.after != 0 {
			t.Errorf("%+v, %v after %s", a.Outcome, a.err, a.after)
		}
	})
}
