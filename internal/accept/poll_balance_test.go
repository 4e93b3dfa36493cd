package accept

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// slowBalances is a cache whose renewals wait until they are let through.
type slowBalances struct {
	*fakeBalances
	arrived chan struct{}
	through chan struct{}
}

func (b *slowBalances) PutMaybeStale(ctx context.Context, wallets ...wallet.Wallet) error {
	b.arrived <- struct{}{}
	<-b.through
	return b.fakeBalances.PutMaybeStale(ctx, wallets...)
}

// decided puts an operation into the ledger under a sequence number of its own.
func (l *fakeLedger) decided(op wallet.Operation, status wallet.Status, sequence int64, balance wallet.Amount) {
	l.mu.Lock()
	defer l.mu.Unlock()
	op.Status, op.Sequence, op.BalanceAfter = status, sequence, balance
	l.operations[op.Key()] = op
}

// The owner of the partition may have committed and not put the balance yet. Who
// is told APPLIED and then asks for the balance has to find it.
func TestThePollPutsTheBalanceBeforeItTellsTheOutcome(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		slow := &slowBalances{w.balances, make(chan struct{}, 100), make(chan struct{})}
		w.balances.deaf, w.Balances = true, slow
		through := sync.OnceFunc(func() { close(slow.through) })
		op := w.deposit(5)
		answered := w.submit(t.Context(), op, 30*time.Second)
		w.commit() // and the announcement is still on its way
		defer w.run(t)()
		defer through()
		select {
		case <-slow.arrived:
		case a := <-answered:
			t.Fatalf("answered %+v before the balance was put", a.Outcome)
		case <-time.After(time.Minute):
			t.Fatal("the balance is not put")
		}
		synctest.Wait()
		select {
		case a := <-answered:
			t.Fatalf("answered %+v while the balance was being put", a.Outcome)
		default:
		}
		through()
		if a := <-answered; a.err != nil || a.Operation.Status != wallet.Applied {
			t.Fatalf("%+v, %v", a.Outcome, a.err)
		}
		if got, ok := w.balances.Cached(t.Context(), op.WalletID); !ok || got.Balance != 5 || got.Sequence != 1 {
			t.Errorf("the balance is %+v, %t", got, ok)
		}
	})
}

func TestThePollPutsTheNewestBalanceOfEachWalletOnce(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.balances.deaf = true
		first := w.deposit(5)
		second, third := first, first
		second.ID, third.ID = uuid.New(), uuid.New()
		other := w.deposit(7)
		missing := w.deposit(9)
		var answers []<-chan answer
		for _, op := range []wallet.Operation{first, second, third, other, missing} {
			answers = append(answers, w.submit(t.Context(), op, 30*time.Second))
		}
		for i, op := range w.journal.journaled() {
			switch op.WalletID {
			case first.WalletID:
				w.ledger.decided(op, wallet.Applied, int64(i+1), wallet.Amount(5*(i+1)))
			case other.WalletID:
				w.ledger.decided(op, wallet.Applied, 1, 7)
			default: // refused without a number: it says nothing of a balance
				w.ledger.decided(op, wallet.Failed, 0, 0)
			}
		}
		defer w.run(t)()
		for _, answered := range answers {
			if a := <-answered; a.err != nil || a.Operation.Status == wallet.Pending {
				t.Fatalf("%+v, %v", a.Outcome, a.err)
			}
		}
		w.balances.mu.Lock()
		puts := slices.Clone(w.balances.puts)
		w.balances.mu.Unlock()
		if len(puts) != 2 {
			t.Fatalf("put %+v", puts)
		}
		for _, got := range puts {
			want := map[uuid.UUID]wallet.State{first.WalletID: {Balance: 15, Sequence: 3}, other.WalletID: {Balance: 7, Sequence: 1}}[got.ID]
			if got.State != want {
				t.Errorf("wallet %s: %+v, want %+v", got.ID, got.State, want)
			}
		}
	})
}
