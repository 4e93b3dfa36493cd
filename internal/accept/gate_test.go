package accept

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

func TestWalletOverItsBoundIsRefusedBeforeAnythingIsJournaled(t *testing.T) {
	inWorld(t, Limits{WalletOperations: 3, Operations: 100}, func(t *testing.T, w *world) {
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
	inWorld(t, Limits{WalletOperations: 3, Operations: 4}, func(t *testing.T, w *world) {
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

// Those who wait hold connections: beyond a bound nobody of the wallet waits, then nobody at
// all, and everybody is accepted.
func TestSoManyWaitAndTheOthersAreAnsweredAtOnce(t *testing.T) {
	limits := wide
	limits.WalletWaits, limits.Waits = 3, 4
	inWorld(t, limits, func(t *testing.T, w *world) {
		hot, other := w.deposit(1), w.deposit(1)
		submit := func(op wallet.Operation) time.Duration {
			op.ID = uuid.New()
			began := time.Now()
			out, err := w.Submit(t.Context(), op, 5*time.Second)
			if err != nil || out.Operation.Status != wallet.Pending || !out.Operation.Receipt.Known() {
				t.Errorf("%+v, %v", out, err)
			}
			return time.Since(began)
		}
		var waiting sync.WaitGroup
		waits := func(op wallet.Operation) {
			waiting.Go(func() {
				if took := submit(op); took != 5*time.Second {
					t.Errorf("waited %s", took)
				}
			})
			synctest.Wait()
		}
		for range 3 {
			waits(hot)
		}
		if took := submit(hot); took != 0 {
			t.Errorf("the fourth of its wallet waited %s", took)
		}
		waits(other)
		if took := submit(other); took != 0 {
			t.Errorf("the fifth of all waited %s", took)
		}
		if made, err := w.Create(t.Context(), "", 5*time.Second); err != nil || !made.Pending {
			t.Errorf("%+v, %v", made, err)
		}
		waiting.Wait()
		w.nobodyIsLeft(t)
	})
}

// nobodyIsLeft fails if anything is kept of requests that are answered.
func (w *world) nobodyIsLeft(t *testing.T) {
	t.Helper()
	if n := w.gates.replica.unanswered; n != 0 {
		t.Errorf("%d requests count as unanswered", n)
	}
	w.gates.sweep()
	for i := range w.gates.shards {
		if n := len(w.gates.shards[i].gates); n != 0 {
			t.Errorf("%d gates are left", n)
		}
		if n := len(w.waiters.shards[i].waiting); n != 0 {
			t.Errorf("%d waiters are left", n)
		}
	}
}
