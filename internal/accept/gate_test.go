package accept

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

func TestWalletOverItsBoundIsRefusedBeforeAnythingIsJournaled(t *testing.T) {
	inWorld(t, Limits{WalletRequests: 3, Requests: 100}, func(t *testing.T, w *world) {
		w.journal.held = make(chan struct{})
		op := w.deposit(5)
		var under []<-chan answer
		for range 3 {
			op.ID = uuid.New()
			under = append(under, w.submit(t.Context(), op, 0))
		}
		op.ID = uuid.New()
		_, err := w.Submit(t.Context(), op, 0)
		e := problem(t, err, wallet.CodeOverloaded)
		if e.Fate != wallet.NotApplied || e.RetryAfter < time.Second || len(w.journal.journaled()) != 3 {
			t.Errorf("%+v, %d journaled", e, len(w.journal.journaled()))
		}
		other := w.submit(t.Context(), w.deposit(5), 0)
		close(w.journal.held)
		for _, a := range append(under, other) {
			if got := <-a; got.err != nil {
				t.Errorf("one within the bound was refused: %v", got.err)
			}
		}
		if _, err := w.Submit(t.Context(), op, 0); err != nil {
			t.Errorf("refused after the others were answered: %v", err)
		}
		w.nobodyIsLeft(t)
	})
}

func TestReplicaOverItsBoundRefusesEveryWalletAndCreate(t *testing.T) {
	inWorld(t, Limits{WalletRequests: 3, Requests: 4}, func(t *testing.T, w *world) {
		w.journal.held = make(chan struct{})
		var under []<-chan answer
		for range 4 {
			under = append(under, w.submit(t.Context(), w.deposit(5), 0))
		}
		_, err := w.Submit(t.Context(), w.deposit(5), 0)
		if e := problem(t, err, wallet.CodeOverloaded); e.RetryAfter < time.Second {
			t.Errorf("%+v", e)
		}
		_, err = w.Create(t.Context(), "", time.Second)
		problem(t, err, wallet.CodeOverloaded)
		if len(w.journal.journaled()) != 4 || len(w.ledger.wallets) != 0 {
			t.Error("something of a refused request was kept")
		}
		close(w.journal.held)
		for _, a := range under {
			<-a
		}
		if _, err := w.Create(t.Context(), "", time.Second); err != nil {
			t.Errorf("refused after the others were answered: %v", err)
		}
		w.nobodyIsLeft(t)
	})
}

func TestRetryAfterIsWhenThoseThatWaitWillHaveBeenAnswered(t *testing.T) {
	for _, c := range []struct {
		waiting, answered int
		took              time.Duration
		want              time.Duration
	}{
		{waiting: 25, answered: 0, took: time.Second, want: retrySoon}, // nothing to go by
		{waiting: 25, answered: 10, took: time.Second, want: 3 * time.Second},
		{waiting: 20, answered: 10, took: time.Second, want: 2 * time.Second},
		{waiting: 1000, answered: 10, took: time.Second, want: 100 * time.Second},
		{waiting: 10, answered: 1000, took: time.Second, want: time.Second}, // never less
		{waiting: 10, answered: 4, took: 4 * time.Second, want: 10 * time.Second},
		{waiting: 10, answered: 4, took: 500 * time.Millisecond, want: 2 * time.Second}, // a window that has just begun counts too
	} {
		t.Run(fmt.Sprintf("%d wait after %d in %s", c.waiting, c.answered, c.took), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, id := newGates(Limits{WalletRequests: c.waiting + c.answered, Requests: 1_000_000}, time.Now), uuid.New()
				var leaves []func()
				for range c.waiting + c.answered {
					leave, err := g.enter(id, 1)
					if err != nil {
						t.Fatal(err)
					}
					leaves = append(leaves, leave)
				}
				<-time.After(c.took)
				for _, leave := range leaves[:c.answered] {
					leave()
				}
				g.limits.WalletRequests = c.waiting
				_, err := g.enter(id, 1)
				if e := problem(t, err, wallet.CodeOverloaded); e.RetryAfter != c.want {
					t.Errorf("%s, want %s", e.RetryAfter, c.want)
				}
			})
		})
	}
}

// A commit answers many at once: the first of them ends a long window.
func TestAnswersThatComeTogetherCountTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, id := newGates(Limits{WalletRequests: 10_000, Requests: 10_000}, time.Now), uuid.New()
		var leaves []func()
		for range 10_000 {
			leave, _ := g.enter(id, 1)
			leaves = append(leaves, leave)
		}
		for _, c := range []struct{ answered, waiting int }{{5000, 5000}, {1000, 4000}, {1000, 3000}} {
			<-time.After(5 * time.Second) // a long stall, and then all of a commit
			for _, leave := range leaves[:c.answered] {
				leave()
			}
			leaves = leaves[c.answered:]
			g.limits.WalletRequests = c.waiting
			_, err := g.enter(id, 1)
			slowest := time.Duration(c.waiting/(1000/5)) * time.Second
			if e := problem(t, err, wallet.CodeOverloaded); e.RetryAfter > slowest {
				t.Errorf("%d wait: %s", c.waiting, e.RetryAfter)
			}
		}
	})
}

func TestWalletWhoseListIsFullIsRefusedAndLeavesNothingBehind(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		op := w.deposit(5)
		w.gates.setFull([]uuid.UUID{op.WalletID})
		_, err := w.Submit(t.Context(), op, 0)
		if e := problem(t, err, wallet.CodeOverloaded); e.RetryAfter < time.Second || len(w.journal.journaled()) != 0 {
			t.Errorf("%+v", e)
		}
		if _, err := w.Submit(t.Context(), w.deposit(5), 0); err != nil {
			t.Errorf("another wallet: %v", err)
		}
		w.nobodyIsLeft(t)
		w.gates.setFull(nil)
		if _, err := w.Submit(t.Context(), op, 0); err != nil {
			t.Errorf("once the list is shorter: %v", err)
		}
		w.nobodyIsLeft(t)
	})
}

// nobodyIsLeft fails if anything is kept of requests that are answered.
func (w *world) nobodyIsLeft(t *testing.T) {
	t.Helper()
	if n := w.gates.total.Load(); n != 0 {
		t.Errorf("%d requests count as unanswered", n)
	}
	for i := range w.gates.shards {
		if n := len(w.gates.shards[i].gates); n != 0 {
			t.Errorf("%d gates are left", n)
		}
		if n := len(w.waiters.shards[i].waiting); n != 0 {
			t.Errorf("%d waiters are left", n)
		}
	}
}
