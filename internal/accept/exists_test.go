package accept

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

func TestUnknownWalletIs404AndNothingIsJournaled(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		op := wallet.Operation{ID: uuid.New(), WalletID: uuid.New(), Type: wallet.Deposit, Amount: 5}
		for reads := range 3 { // that it does not exist is never cached
			_, err := w.Submit(t.Context(), op, 0)
			problem(t, err, wallet.CodeWalletNotFound)
			if len(w.journal.journaled()) != 0 || w.ledger.reads != reads+1 {
				t.Errorf("%d journaled, %d reads", len(w.journal.journaled()), w.ledger.reads)
			}
		}
		w.ledger.wallets[op.WalletID] = wallet.Wallet{ID: op.WalletID}
		if _, err := w.Submit(t.Context(), op, 0); err != nil {
			t.Errorf("once it exists: %v", err)
		}
		w.nobodyIsLeft(t)
	})
}

// A client that has closed its half of the connection counts as gone, and may still read.
func TestUnknownWalletIs404AlsoForAClientThatIsGone(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		op := wallet.Operation{ID: uuid.New(), WalletID: uuid.New(), Type: wallet.Deposit, Amount: 5}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := w.Submit(gone, op, time.Second)
		problem(t, err, wallet.CodeWalletNotFound)
		if written := w.journal.journaled(); len(written) != 0 {
			t.Errorf("journaled %+v", written)
		}
	})
}

// The creation is journaled and not applied: only the cache knows of it.
func TestAWalletThatOnlyTheCacheKnowsIsThereAlsoForAClientThatIsGone(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		op := wallet.Operation{ID: uuid.New(), WalletID: uuid.New(), Type: wallet.Deposit, Amount: 5}
		w.balances.known[op.WalletID] = true
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if out, err := w.Submit(gone, op, time.Second); err != nil || out.Operation.Status != wallet.Pending {
			t.Errorf("%+v, %v", out, err)
		}
	})
}

func TestThatAWalletExistsIsAskedOnce(t *testing.T) {
	for name, know := range map[string]func(w *world, id uuid.UUID) (reads int){
		"of its lane":   func(w *world, id uuid.UUID) int { w.applier.NoteExists(id); return 0 },
		"of Redis":      func(w *world, id uuid.UUID) int { w.balances.known[id] = true; return 0 },
		"of the ledger": func(w *world, id uuid.UUID) int { w.ledger.wallets[id] = wallet.Wallet{ID: id}; return 1 },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				op := wallet.Operation{ID: uuid.New(), WalletID: uuid.New(), Type: wallet.Deposit, Amount: 5}
				reads := know(w, op.WalletID)
				for range 3 {
					if _, err := w.Submit(t.Context(), op, 0); err != nil {
						t.Fatal(err)
					}
				}
				if w.ledger.reads != reads || !w.applier.KnowsWallet(op.WalletID) {
					t.Errorf("%d reads of the ledger, noted: %t", w.ledger.reads, w.applier.KnowsWallet(op.WalletID))
				}
			})
		})
	}
}

// Who applies a wallet's operations has to know what it holds, which the cache cannot
// say for sure.
func TestWhoAppliesAWalletAsksTheLedgerFirst(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.applier.owns = true
		op := wallet.Operation{ID: uuid.New(), WalletID: uuid.New(), Type: wallet.Deposit, Amount: 5}
		w.balances.known[op.WalletID] = true
		is := wallet.Wallet{ID: op.WalletID, State: wallet.State{Balance: 30, Sequence: 7}}
		w.ledger.wallets[op.WalletID] = is
		for range 3 {
			if _, err := w.Submit(t.Context(), op, 0); err != nil {
				t.Fatal(err)
			}
		}
		if w.ledger.reads != 1 || w.applier.met[op.WalletID] != is {
			t.Errorf("%d reads of the ledger, told the applier %+v", w.ledger.reads, w.applier.met)
		}
	})
}

// The creation may be on its way: the cache knows before the ledger does. And while
// the ledger is away the cache is who can tell at all.
func TestWhoAppliesAWalletBelievesTheCacheThatItExists(t *testing.T) {
	for name, fail := range map[string]func(*world){
		"not applied yet": func(*world) {},
		"ledger down":     func(w *world) { w.ledger.fall() },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				w.applier.owns = true
				fail(w)
				op := wallet.Operation{ID: uuid.New(), WalletID: uuid.New(), Type: wallet.Deposit, Amount: 5}
				w.balances.known[op.WalletID] = true
				if _, err := w.Submit(t.Context(), op, 0); err != nil || !w.applier.KnowsWallet(op.WalletID) {
					t.Errorf("noted as existing: %t, %v", w.applier.KnowsWallet(op.WalletID), err)
				}
			})
		})
	}
}

// It fails later, if it must: nobody can tell now.
func TestWalletThatNobodyCanLookUpIsLetIn(t *testing.T) {
	for name, fail := range map[string]func(*world){
		"down":         func(w *world) { w.ledger.fall() },
		"not answered": func(w *world) { w.ledger.callErr = errGone },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				fail(w)
				op := wallet.Operation{ID: uuid.New(), WalletID: uuid.New(), Type: wallet.Deposit, Amount: 5}
				out, err := w.Submit(t.Context(), op, 0)
				if err != nil || out.Operation.Status != wallet.Pending || len(w.journal.journaled()) != 1 {
					t.Errorf("%+v, %v", out, err)
				}
				if w.applier.KnowsWallet(op.WalletID) {
					t.Error("it is noted as existing")
				}
			})
		})
	}
}
