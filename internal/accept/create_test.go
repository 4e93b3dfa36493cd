package accept

import (
	"context"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// isKnown fails unless the wallet was spread: this replica's lanes and Redis know it.
func (w *world) isKnown(t *testing.T, id uuid.UUID) {
	t.Helper()
	put := slices.ContainsFunc(w.balances.puts, func(p wallet.Wallet) bool { return p.ID == id })
	put = put || w.balances.Known(t.Context(), id)
	if !w.applier.Known(id) || !put {
		t.Errorf("known here: %t, put into Redis: %t", w.applier.Known(id), put)
	}
}

func TestCreateInsertsIntoTheLedgerAndSpreadsIt(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		first, err := w.Create(t.Context(), "")
		second, err2 := w.Create(t.Context(), "")
		if err != nil || err2 != nil || first.ID == second.ID || first.Replayed || first.Pending || first.Sequence != 0 || first.Balance != 0 {
			t.Fatalf("%+v, %v; %+v, %v", first, err, second, err2)
		}
		if _, ok := w.ledger.wallets[first.ID]; !ok || len(w.journal.creates) != 0 {
			t.Errorf("in the ledger: %t, journaled: %d", ok, len(w.journal.creates))
		}
		w.isKnown(t, first.ID)
		w.isKnown(t, second.ID)
		w.nobodyIsLeft(t)
	})
}

func TestCreateWithAKeyReturnsTheFirstWalletAsItIsNow(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		first, err := w.Create(t.Context(), "key")
		if err != nil {
			t.Fatal(err)
		}
		now := wallet.Wallet{ID: first.ID, State: wallet.State{Balance: 70, Sequence: 3}}
		w.ledger.wallets[first.ID] = now
		again, err := w.Create(t.Context(), "key")
		if err != nil || !again.Replayed || again.Wallet != now {
			t.Errorf("%+v, %v", again, err)
		}
		other, err := w.Create(t.Context(), "another")
		if err != nil || other.Replayed || other.ID == first.ID {
			t.Errorf("%+v, %v", other, err)
		}
	})
}

func TestCreateWithoutTheLedgerIsJournaledUnderTheSameIDAndUsableAtOnce(t *testing.T) {
	for name, fail := range map[string]func(*world){
		"down":         func(w *world) { w.ledger.fall() },
		"not answered": func(w *world) { w.ledger.callErr = errGone },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				fail(w)
				created, err := w.Create(t.Context(), "key")
				if err != nil || !created.Pending || created.ID != wallet.NewID("key") || created.Balance != 0 {
					t.Fatalf("%+v, %v", created, err)
				}
				if !slices.Equal(w.journal.creates, []uuid.UUID{created.ID}) {
					t.Errorf("journaled %v", w.journal.creates)
				}
				w.isKnown(t, created.ID)
				op := wallet.Operation{ID: uuid.New(), WalletID: created.ID, Type: wallet.Deposit, Amount: 5}
				if out, err := w.Submit(t.Context(), op, 0); err != nil || out.Operation.Status != wallet.Pending {
					t.Errorf("%+v, %v", out, err)
				}
			})
		})
	}
}

// A repeated create may be of a wallet that holds money: only the ledger could say
// what, so nothing may put its balance as zero.
func TestCreateWithoutTheLedgerCachesABalanceOnlyOfAWalletThatIsNewForSure(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.ledger.fall()
		keyed, err := w.Create(t.Context(), "key")
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := w.balances.Cached(t.Context(), keyed.ID); ok {
			t.Errorf("cached %+v", got)
		}
		fresh, err := w.Create(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := w.balances.Cached(t.Context(), fresh.ID); !ok || got.Sequence != 0 {
			t.Errorf("cached %+v, %t", got, ok)
		}
		now := wallet.Wallet{ID: keyed.ID, State: wallet.State{Balance: 70, Sequence: 3}}
		_ = w.balances.Put(t.Context(), now)
		if again, err := w.Create(t.Context(), "key"); err != nil || !again.Replayed || again.Wallet != now {
			t.Errorf("%+v, %v", again, err)
		}
	})
}

func TestCreateThatNothingCanTakeIs503WithTheHonestFate(t *testing.T) {
	for _, c := range []struct {
		name       string
		journal    error
		ledgerDown bool
		want       wallet.Fate
	}{
		{"nothing was tried", wallet.ErrNotJournaled, true, wallet.NotApplied},
		{"the ledger was tried", wallet.ErrNotJournaled, false, wallet.Unknown},
		{"the journal was tried", wallet.ErrUnacknowledged, true, wallet.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				w.journal.err, w.ledger.callErr = c.journal, errGone
				if c.ledgerDown {
					w.ledger.fall()
				}
				_, err := w.Create(t.Context(), "key")
				if e := problem(t, err, wallet.CodeUnavailable); e.Fate != c.want || e.RetryAfter <= 0 {
					t.Errorf("%+v", e)
				}
				if len(w.balances.puts) != 0 || w.applier.Known(wallet.NewID("key")) {
					t.Error("a wallet that may not exist is spread")
				}
				w.nobodyIsLeft(t)
			})
		})
	}
}

func TestCreateIsSpreadAlsoWhenItsClientIsGone(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.Create(ctx, ""); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(w.balances.alive, []bool{true}) {
			t.Error("the put ended with the client")
		}
	})
}
