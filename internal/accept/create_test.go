package accept

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// wait is how long the creations of these tests may take.
const wait = time.Second

// isKnown fails unless the wallet was spread: this replica's lanes and Redis know it.
func (w *world) isKnown(t *testing.T, id uuid.UUID) {
	t.Helper()
	put := slices.ContainsFunc(w.balances.puts, func(p wallet.Wallet) bool { return p.ID == id })
	put = put || w.balances.Known(t.Context(), id)
	if !w.applier.KnowsWallet(id) || !put {
		t.Errorf("known here: %t, put into Redis: %t", w.applier.KnowsWallet(id), put)
	}
}

func TestCreateIsJournaledAppliedAndSpread(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		first, err := w.Create(t.Context(), "", wait)
		second, err2 := w.Create(t.Context(), "", wait)
		if err != nil || err2 != nil || first.ID == second.ID || first.Replayed || first.Pending || first.Sequence != 0 || first.Balance != 0 {
			t.Fatalf("%+v, %v; %+v, %v", first, err, second, err2)
		}
		if _, ok := w.ledger.wallets[first.ID]; !ok || !slices.Equal(w.journal.creates, []uuid.UUID{first.ID, second.ID}) {
			t.Errorf("in the ledger: %t, journaled: %v", ok, w.journal.creates)
		}
		w.isKnown(t, first.ID)
		w.isKnown(t, second.ID)
		w.nobodyIsLeft(t)
	})
}

func TestCreateWithAKeyReturnsTheFirstWalletAsItIsNow(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		first, err := w.Create(t.Context(), "key", wait)
		if err != nil {
			t.Fatal(err)
		}
		now := wallet.Wallet{ID: first.ID, State: wallet.State{Balance: 70, Sequence: 3}}
		w.ledger.wallets[first.ID] = now
		again, err := w.Create(t.Context(), "key", wait)
		if err != nil || !again.Replayed || again.Wallet != now {
			t.Errorf("%+v, %v", again, err)
		}
		other, err := w.Create(t.Context(), "another", wait)
		if err != nil || other.Replayed || other.ID == first.ID {
			t.Errorf("%+v, %v", other, err)
		}
	})
}

// Without the cache other replicas could not tell that the wallet is there before its
// creation is applied: the ledger makes it at once.
func TestACreationThatTheCacheCannotSpreadIsInTheLedgerBeforeItsAnswer(t *testing.T) {
	for _, key := range []string{"", "key"} {
		inWorld(t, wide, func(t *testing.T, w *world) {
			w.balances.err = errGone
			created, err := w.Create(t.Context(), key, 0)
			if err != nil || created.Pending || created.Replayed {
				t.Fatalf("%+v, %v", created, err)
			}
			if _, ok := w.ledger.wallets[created.ID]; !ok || !slices.Equal(w.journal.creates, []uuid.UUID{created.ID}) {
				t.Errorf("in the ledger: %t, journaled: %v", ok, w.journal.creates)
			}
			w.ledger.fall()
			if created, err := w.Create(t.Context(), "another", 0); err != nil || !created.Pending {
				t.Errorf("without the ledger too: %+v, %v", created, err)
			}
		})
	}
}

func TestCreateWithoutTheLedgerIsJournaledUnderTheSameIDAndUsableAtOnce(t *testing.T) {
	for name, fail := range map[string]func(*world){
		"down":         func(w *world) { w.ledger.fall() },
		"not answered": func(w *world) { w.ledger.callErr = errGone },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				fail(w)
				created, err := w.Create(t.Context(), "key", wait)
				if err != nil || !created.Pending || created.ID != wallet.NewWalletID("key") || created.Balance != 0 {
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
		keyed, err := w.Create(t.Context(), "key", wait)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := w.balances.Cached(t.Context(), keyed.ID); ok {
			t.Errorf("cached %+v", got)
		}
		fresh, err := w.Create(t.Context(), "", wait)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := w.balances.Cached(t.Context(), fresh.ID); !ok || got.Sequence != 0 {
			t.Errorf("cached %+v, %t", got, ok)
		}
		now := wallet.Wallet{ID: keyed.ID, State: wallet.State{Balance: 70, Sequence: 3}}
		_ = w.balances.Put(t.Context(), now)
		puts := len(w.balances.puts)
		if again, err := w.Create(t.Context(), "key", wait); err != nil || !again.Replayed || again.Wallet != now || len(w.balances.puts) != puts {
			t.Errorf("%+v, %v, of %d puts", again, err, len(w.balances.puts))
		}
	})
}

// With a key another request may have made the wallet, and somebody may have used it.
func TestTheOutcomeOfACreationWithAKeyIsNotPutAsTheWalletIsNow(t *testing.T) {
	for key, puts := range map[string]int{"": 1, "key": 0} {
		inWorld(t, wide, func(t *testing.T, w *world) {
			made, err := w.Create(t.Context(), key, wait)
			if err != nil || made.Pending || len(w.balances.puts) != puts {
				t.Errorf("%q: %+v, %v, put %+v", key, made, err, w.balances.puts)
			}
			w.isKnown(t, made.ID)
		})
	}
}

func TestCreateIsAnsweredWhenItsWaitEnds(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.journal.apply = func(uuid.UUID, time.Time) {}
		began := time.Now()
		created, err := w.Create(t.Context(), "", wait)
		if err != nil || !created.Pending || created.Replayed || time.Since(began) != wait {
			t.Errorf("%+v, %v after %s", created, err, time.Since(began))
		}
		w.isKnown(t, created.ID)
		w.nobodyIsLeft(t)
	})
}

// Two requests with one key at once: both are journaled, one record makes it.
func TestOfTwoCreatesWithOneKeyOneIsTheReplay(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		key := wallet.Key{WalletID: wallet.NewWalletID("key"), ID: wallet.NewWalletID("key")}
		earlier := wallet.Operation{ID: key.ID, WalletID: key.WalletID, AcceptedAt: time.Now().Add(-time.Minute), Status: wallet.Applied, Sequence: 2, BalanceAfter: 9}
		w.journal.apply = func(uuid.UUID, time.Time) { w.Complete([]wallet.Operation{earlier}) }
		created, err := w.Create(t.Context(), "key", wait)
		if err != nil || !created.Replayed || created.Pending || created.State != (wallet.State{Balance: 9, Sequence: 2}) {
			t.Errorf("%+v, %v", created, err)
		}
	})
}

// While the journal cannot be written the ledger makes the wallet, under the same id.
func TestCreateWithoutTheJournalGoesToTheLedger(t *testing.T) {
	for name, err := range map[string]error{"not journaled": wallet.ErrNotJournaled, "not acknowledged": wallet.ErrUnacknowledged} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				w.journal.err = err
				created, err := w.Create(t.Context(), "key", wait)
				if err != nil || created.Pending || created.Replayed || created.ID != wallet.NewWalletID("key") {
					t.Fatalf("%+v, %v", created, err)
				}
				if _, ok := w.ledger.wallets[created.ID]; !ok {
					t.Error("the ledger does not have it")
				}
				w.isKnown(t, created.ID)
				if again, err := w.Create(t.Context(), "key", wait); err != nil || !again.Replayed {
					t.Errorf("%+v, %v", again, err)
				}
				w.nobodyIsLeft(t)
			})
		})
	}
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
				_, err := w.Create(t.Context(), "key", wait)
				if e := problem(t, err, wallet.CodeUnavailable); e.Fate != c.want || e.RetryAfter <= 0 {
					t.Errorf("%+v", e)
				}
				if len(w.balances.puts) != 0 || w.applier.KnowsWallet(wallet.NewWalletID("key")) {
					t.Error("a wallet that may not exist is spread")
				}
				w.nobodyIsLeft(t)
			})
		})
	}
}

// cutOff is a ledger that has the creation and cannot say so.
type cutOff struct {
	*fakeLedger
	meanwhile func(id uuid.UUID, at time.Time)
}

func (l *cutOff) Create(_ context.Context, id uuid.UUID, at time.Time) (wallet.Wallet, bool, error) {
	l.meanwhile(id, at)
	return wallet.Wallet{}, false, wallet.ErrUnavailable
}

func TestACreationThatIsKnownToBeAppliedIsTheAnswerWhateverTheLedgerSays(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.journal.err, w.Ledger = wallet.ErrUnacknowledged, &cutOff{w.ledger, w.journal.apply}
		created, err := w.Create(t.Context(), "", wait)
		if err != nil || created.Pending || created.Replayed {
			t.Fatalf("%+v, %v", created, err)
		}
		w.isKnown(t, created.ID)
		w.nobodyIsLeft(t)
	})
}

// returning is a ledger that comes back after it was asked whether it is down, and
// cuts the creation off.
type returning struct {
	*fakeLedger
	tried bool
}

func (l *returning) Create(context.Context, uuid.UUID, time.Time) (wallet.Wallet, bool, error) {
	l.tried = true
	return wallet.Wallet{}, false, wallet.ErrUnavailable
}

// Whether the ledger was tried is what the fate says, not whether it was down before.
func TestACreateSaysNotAppliedOnlyIfTheLedgerWasNotTried(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.ledger.fall()
		l := &returning{fakeLedger: w.ledger}
		w.Ledger, w.journal.err = l, wallet.ErrNotJournaled
		_, err := w.Create(t.Context(), "", wait)
		if e := problem(t, err, wallet.CodeUnavailable); l.tried == (e.Fate == wallet.NotApplied) {
			t.Errorf("the ledger was tried: %t, and the fate is %s", l.tried, e.Fate)
		}
	})
}

func TestCreateWithAKeyReturnsTheFirstWalletAlsoWhenItsClientIsGone(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		first, err := w.Create(t.Context(), "key", wait)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		again, err2 := w.Create(ctx, "key", wait)
		if err != nil || err2 != nil || !again.Replayed || again.Wallet != first.Wallet || len(w.journal.creates) != 1 {
			t.Errorf("%+v, %v; %+v, %v; journaled: %v", first, err, again, err2, w.journal.creates)
		}
	})
}

func TestCreateIsSpreadAlsoWhenItsClientIsGone(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.Create(ctx, "", wait); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(w.balances.alive, []bool{true}) {
			t.Error("the put ended with the client")
		}
	})
}
