package applier_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// Kafka has acknowledged records to this replica and lost them; others have their places,
// which the ledger has passed. What was promised is applied all the same, once, in order,
// and this replica's clients are told.
func TestWhatTheJournalHasLostIsAppliedDirectly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		id, made, other := w.created(), uuid.New(), w.created()
		registry := prometheus.NewRegistry()
		r := w.replica(func(_ *replica, c *applier.Config) { c.Registerer = registry })
		place := func(n int64) wallet.Receipt { return wallet.Receipt{Offset: w.log.End(0) + n} }
		first, second, onNew := deposit(id, 5), deposit(id, 7), deposit(made, 3)
		r.Acknowledged(wallet.Record{Kind: wallet.KindOperations, WalletID: id, Operations: []wallet.Operation{first}, Receipt: place(0)})
		r.Acknowledged(wallet.Record{Kind: wallet.KindOperations, WalletID: id, Operations: []wallet.Operation{second}, Receipt: place(1)})
		r.Acknowledged(wallet.Record{Kind: wallet.KindCreate, WalletID: made, Operations: []wallet.Operation{{ID: made, WalletID: made, AcceptedAt: epoch}}, Receipt: place(2)})
		r.Acknowledged(wallet.Record{Kind: wallet.KindOperations, WalletID: made, Operations: []wallet.Operation{onNew}, Receipt: place(3)})
		owner := w.owning()
		for range 4 {
			op := deposit(other, 1)
			w.append(op) // in the lost ones' places
			owner.outcome(op)
		}
		if _, err := r.Reconcile(t.Context(), w.books().Offsets); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		b := w.books()
		wantHistory(t, b, id, first, second)
		wantHistory(t, b, made, onNew)
		for _, op := range []wallet.Operation{first, second, onNew} {
			wantOutcome(t, r.outcome(op), wallet.Applied, wallet.NoReason, b.Operations[op.Key()].Sequence, b.Operations[op.Key()].BalanceAfter)
		}
		if n, _ := r.UnsettledInAll(); n != 0 {
			t.Errorf("%d have no outcome", n)
		}
		if got := metric(t, registry, "walletd_lost_operations_total"); got != 4 {
			t.Errorf("%v are counted as lost, want 4", got)
		}
	})
}

// What an old journal had and no replica has applied is as lost.
func TestWhatWasLostWithAJournalIsAppliedDirectly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		id := w.created()
		r := w.replica()
		op := deposit(id, 5)
		r.Acknowledged(wallet.Record{Kind: wallet.KindOperations, WalletID: id, Operations: []wallet.Operation{op}, Receipt: wallet.Receipt{Offset: 1000}})
		look := func() {
			t.Helper()
			if _, err := r.Reconcile(t.Context(), w.books().Offsets); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		look()
		wantHistory(t, w.books(), id) // it may be on its way
		r.JournalReplaced()
		look()
		wantHistory(t, w.books(), id, op)
	})
}

// Somebody holds the row: the look does not wait, and a later one applies it.
func TestALostOperationOfAWalletThatIsHeldIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		id := w.created()
		held := true
		r := w.replica(withFaults(func(c simtest.Call) simtest.Fault {
			if c.Method == "Commit" && held {
				time.Sleep(500 * time.Millisecond) // the lock timeout
				return simtest.Locked
			}
			return simtest.None
		}))
		op := deposit(id, 5)
		r.Acknowledged(wallet.Record{Kind: wallet.KindOperations, WalletID: id, Operations: []wallet.Operation{op}, Receipt: wallet.Receipt{Offset: 0}})
		r.JournalReplaced()
		for range 30 { // once a second, as accepting does
			began := time.Now()
			if _, err := r.Reconcile(t.Context(), w.books().Offsets); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 0 {
				t.Fatalf("a look waits %s for a row", took)
			}
			time.Sleep(time.Second)
		}
		wantHistory(t, w.books(), id)
		held = false
		time.Sleep(2 * time.Second)
		wantHistory(t, w.books(), id, op)
	})
}
