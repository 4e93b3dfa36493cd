package accept

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// run polls until the returned function is called.
func (w *world) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { w.Run(ctx); close(ended) }()
	return func() { cancel(); <-ended }
}

// many submits n requests of one wallet each, and returns where their answers will come.
func (w *world) many(t *testing.T, n int) (answers []<-chan answer) {
	t.Helper()
	for range n {
		answered, op := make(chan answer, 1), w.deposit(5)
		go func() {
			began := time.Now()
			out, err := w.Submit(t.Context(), op, 30*time.Second)
			answered <- answer{out, err, time.Since(began)}
		}()
		answers = append(answers, answered)
	}
	synctest.Wait()
	return answers
}

// applied fails unless all are answered APPLIED after d.
func applied(t *testing.T, answers []<-chan answer, d time.Duration) {
	t.Helper()
	for _, answered := range answers {
		if a := <-answered; a.err != nil || a.Operation.Status != wallet.Applied || a.after != d {
			t.Fatalf("%+v, %v after %s, want after %s", a.Outcome, a.err, a.after, d)
		}
	}
}

// commit puts everything that was journaled into the ledger.
func (w *world) commit() {
	for _, op := range w.journal.journaled() {
		w.ledger.keep(op)
	}
}

func TestWaitersShareOneReadWhenAnnouncementsCannotCome(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.balances.deaf = true
		answers := w.many(t, 1000)
		defer w.run(t)()
		<-time.After(3*pollEvery + pollEvery/2)
		if got := w.ledger.polled(); !slices.Equal(got, []int{1000, 1000}) && !slices.Equal(got, []int{1000, 1000, 1000}) {
			t.Errorf("in %s reads of %v", 3*pollEvery, got)
		}
		w.commit()
		applied(t, answers, 4*pollEvery)
		reads := len(w.ledger.polled())
		<-time.After(10 * pollEvery)
		if got := len(w.ledger.polled()); got != reads {
			t.Errorf("%d reads while nobody waits", got-reads)
		}
	})
}

func TestNoReadWhileAnnouncementsAreOnTheirWay(t *testing.T) {
	for name, set := range map[string]func(*world){
		"announcements arrive":               func(*world) {},
		"the replica applies them by itself": func(w *world) { w.applier.owns, w.balances.deaf = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				set(w)
				answers := w.many(t, 10)
				defer w.run(t)()
				<-time.After(overdueAfter + pollEvery/2)
				if got := w.ledger.polled(); len(got) != 0 {
					t.Errorf("reads of %v", got)
				}
				w.commit() // and the announcement is lost
				applied(t, answers, overdueAfter+pollEvery)
				if got := w.ledger.polled(); !slices.Equal(got, []int{10}) {
					t.Errorf("reads of %v", got)
				}
			})
		})
	}
}

func TestOnePollIsBoundedAndTheRestFollows(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.balances.deaf = true
		answers := w.many(t, pollOperations+500)
		w.commit()
		defer w.run(t)()
		for _, answered := range answers {
			if a := <-answered; a.err != nil || a.Operation.Status != wallet.Applied {
				t.Fatalf("%+v, %v", a.Outcome, a.err)
			}
		}
		if got := w.ledger.polled(); !slices.Equal(got, []int{pollOperations, 500}) {
			t.Errorf("reads of %v", got)
		}
	})
}

func TestWhatIsNotYetJournaledIsNotAskedFor(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.balances.deaf, w.journal.held = true, make(chan struct{})
		answers := w.many(t, 3)
		defer w.run(t)()
		<-time.After(2 * overdueAfter)
		if got := w.ledger.polled(); len(got) != 0 {
			t.Errorf("reads of %v", got)
		}
		close(w.journal.held)
		synctest.Wait()
		w.commit()
		for _, answered := range answers {
			if a := <-answered; a.Operation.Status != wallet.Applied {
				t.Errorf("%+v, %v", a.Outcome, a.err)
			}
		}
	})
}

func TestLedgerThatIsDownIsNotPolled(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.balances.deaf = true
		w.ledger.fall()
		defer w.run(t)()
		<-time.After(5 * time.Second)
		if got := len(w.ledger.polled()) + w.ledger.progress; got != 0 {
			t.Errorf("%d reads", got)
		}
	})
}

func TestReadThatFailsIsTriedAgain(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.balances.deaf, w.ledger.callErr = true, errGone
		answers := w.many(t, 3)
		defer w.run(t)()
		<-time.After(2*time.Second + pollEvery/2)
		w.ledger.mu.Lock()
		w.ledger.callErr = nil
		w.ledger.mu.Unlock()
		w.commit()
		applied(t, answers, 2*time.Second+pollEvery)
	})
}

func TestProgressIsReadOnceASecondAndPassedOn(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		op := w.deposit(5)
		w.ledger.next, w.ledger.full = 17, []uuid.UUID{op.WalletID}
		stop := w.run(t)
		<-time.After(10 * time.Second)
		stop()
		if n := w.ledger.progress; n < 9 || n > 10 {
			t.Errorf("%d reads in 10 s", n)
		}
		if last := w.applier.reconciled[len(w.applier.reconciled)-1]; last[4] != 17 {
			t.Errorf("passed on %v", last)
		}
		_, err := w.Submit(t.Context(), op, 0) // its requeued list is at its bound
		problem(t, err, wallet.CodeOverloaded)
	})
}

// fullList returns an operation of a wallet that is refused, for its list is full.
func (w *world) fullList(t *testing.T) wallet.Operation {
	t.Helper()
	op := w.deposit(5)
	w.ledger.mu.Lock()
	w.ledger.full = []uuid.UUID{op.WalletID}
	w.ledger.mu.Unlock()
	<-time.After(progressEvery + pollEvery)
	_, err := w.Submit(t.Context(), op, 0)
	problem(t, err, wallet.CodeOverloaded)
	return op
}

// One damaged block of the lists must keep neither outcomes nor wallets with short lists back.
func TestAListThatCannotBeReadRefusesNobodyAndHoldsNothingUp(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		defer w.run(t)()
		op := w.fullList(t)
		w.ledger.mu.Lock()
		w.ledger.full, w.ledger.next, w.ledger.unlisted = nil, 23, fmt.Errorf("%w: invalid page in block 0 (SQLSTATE XX001)", wallet.ErrRefused)
		w.ledger.mu.Unlock()
		<-time.After(progressEvery + pollEvery)
		if _, err := w.Submit(t.Context(), op, 0); err != nil {
			t.Errorf("refused for a list that nobody can read: %v", err)
		}
		w.applier.mu.Lock()
		defer w.applier.mu.Unlock()
		if last := w.applier.reconciled[len(w.applier.reconciled)-1]; last[4] != 23 {
			t.Errorf("passed on %v", last)
		}
	})
}

// While the ledger does not answer, what was full stays so.
func TestAFullListStaysFullWhileTheLedgerDoesNotTell(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		defer w.run(t)()
		op := w.fullList(t)
		w.ledger.mu.Lock()
		w.ledger.full, w.ledger.unlisted = nil, errGone
		w.ledger.mu.Unlock()
		<-time.After(progressEvery + pollEvery)
		_, err := w.Submit(t.Context(), op, 0)
		problem(t, err, wallet.CodeOverloaded)
	})
}

// unreadable has n requests wait for operations that the ledger refuses to read.
func (w *world) unreadable(t *testing.T, n int) {
	t.Helper()
	w.many(t, n)
	w.ledger.unreadable = map[wallet.Key]bool{}
	for _, op := range w.journal.journaled() {
		w.ledger.unreadable[op.Key()] = true
	}
}

// A client may ask for one again and again.
func TestAnOperationThatCannotBeReadKeepsNobodyFromItsOutcome(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.balances.deaf = true
		w.unreadable(t, 1)
		answers := w.many(t, 1000)
		w.commit()
		defer w.run(t)()
		applied(t, answers, 2*pollEvery)
		<-time.After(30 * time.Second) // the other ends by itself
	})
}

// However many cannot be read, a look is bounded, and each begins elsewhere.
func TestALookForWhatCannotBeReadIsBounded(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.balances.deaf = true
		w.unreadable(t, 1000)
		answers := w.many(t, 1)
		w.commit()
		defer w.run(t)()
		if a := <-answers[0]; a.err != nil || a.Operation.Status != wallet.Applied {
			t.Errorf("%+v, %v after %s", a.Outcome, a.err, a.after)
		}
		before := len(w.ledger.polled())
		<-time.After(10 * pollEvery)
		if n := len(w.ledger.polled()) - before; n > 10*pollReads {
			t.Errorf("%d reads in 10 looks", n)
		}
		<-time.After(30 * time.Second) // the others end by themselves
	})
}

// With Redis down nothing else settles what another replica applies. However little one look
// takes, nobody is refused for what the ledger has. Where nothing waits looks are rare again.
func TestLooksKeepUpWithOneWalletWhoseOutcomesNobodyAnnounces(t *testing.T) {
	for _, inOnePoll := range []int{250, 1_000} { // 5,000 and 20,000 a second
		inWorld(t, wide, func(t *testing.T, w *world) {
			w.balances.deaf, w.applier.look = true, 2_500
			defer w.run(t)()
			<-time.After(progressEvery) // 20,000 a second fill the bound before the second look
			op := w.deposit(1)
			for range 6 * time.Second / pollEvery {
				ops := make([]wallet.Operation, inOnePoll)
				for i := range ops {
					ops[i] = op
					ops[i].ID = uuid.New()
				}
				if _, err := w.SubmitAll(t.Context(), ops, 0); err != nil {
					n, _ := w.applier.UnsettledInAll()
					t.Fatalf("%d in %s each: %v, %d are unsettled", inOnePoll, pollEvery, err, n)
				}
				w.applier.mu.Lock()
				w.applier.unsettled = append(w.applier.unsettled, ops...)
				w.applier.mu.Unlock()
				<-time.After(pollEvery)
			}
			before := w.applier.looks()
			<-time.After(10*progressEvery + pollEvery/2)
			if n := w.applier.looks() - before; n < 10 || n > 15 {
				t.Errorf("%d looks in the 10 s after the load", n)
			}
		})
	}
}
