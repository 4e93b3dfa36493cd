package accept

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// place is a receipt that the ledger has not passed, in a journal that has it.
var place = wallet.Receipt{Partition: 4, Offset: 20}

func TestOperationWithItsReceiptIsFoundFromItsAcceptance(t *testing.T) {
	walletID, id := uuid.New(), uuid.New()
	journaled := wallet.Operation{ID: id, WalletID: walletID, Type: wallet.Withdraw, Amount: 7, AcceptedAt: time.UnixMicro(1).UTC(), Receipt: wallet.NoReceipt}
	record := wallet.Record{Kind: wallet.KindOperations, WalletID: walletID, Operations: []wallet.Operation{{ID: uuid.New()}, journaled}}
	foreign := record
	foreign.WalletID = uuid.New()
	created := wallet.Record{Kind: wallet.KindCreate, WalletID: walletID, Operations: []wallet.Operation{{ID: id}}}
	applied := journaled
	applied.Status, applied.Sequence, applied.Receipt = wallet.Applied, 3, place
	pending := journaled
	pending.Receipt = place
	believed := wallet.Operation{ID: id, WalletID: walletID, Receipt: place} // what the receipt alone tells
	for _, c := range []struct {
		name    string
		receipt wallet.Receipt
		set     func(*world)
		want    wallet.Operation
		code    wallet.Code // instead
	}{
		{"in the ledger", place, func(w *world) { w.ledger.operations[applied.Key()] = applied }, applied, ""},
		{"in the ledger, no receipt", wallet.NoReceipt, func(w *world) { w.ledger.operations[applied.Key()] = applied }, applied, ""},
		{"in the journal", place, func(*world) {}, pending, ""},
		{"at the journal's end", place, func(w *world) { w.journal.end = place.Offset + 1 }, pending, ""},
		{"accepted here, and lost", place, func(w *world) {
			w.applier.accepted = map[wallet.Key]wallet.Operation{applied.Key(): pending}
			w.ledger.next, w.journal.end = place.Offset+1, place.Offset
		}, pending, ""},
		{"nowhere, no receipt", wallet.NoReceipt, func(*world) {}, wallet.Operation{}, wallet.CodeOperationNotFound},
		{"passed and not there", place, func(w *world) { w.ledger.next = place.Offset + 1 }, wallet.Operation{}, wallet.CodeOperationNotFound},
		{"beyond the journal's end", place, func(w *world) { w.journal.end = place.Offset }, wallet.Operation{}, wallet.CodeInvalidRequest},
		{"not in that record", place, func(w *world) { w.journal.record.Operations = w.journal.record.Operations[:1] }, wallet.Operation{}, wallet.CodeInvalidRequest},
		{"of another wallet", place, func(w *world) { w.journal.record = foreign }, wallet.Operation{}, wallet.CodeInvalidRequest},
		{"a wallet's creation", place, func(w *world) { w.journal.record = created }, wallet.Operation{}, wallet.CodeInvalidRequest},
		{"of a partition that is not the wallet's", wallet.Receipt{Partition: anothers, Offset: place.Offset}, func(w *world) { w.journal.endErr = errGone }, wallet.Operation{}, wallet.CodeInvalidRequest},
		{"poison", place, func(w *world) { w.journal.record = wallet.Record{Kind: wallet.KindPoison} }, wallet.Operation{}, wallet.CodeInvalidRequest},
		{"the journal does not tell its end", place, func(w *world) { w.journal.endErr = errGone }, believed, ""},
		{"the journal does not show the record", place, func(w *world) { w.journal.findErr = errGone }, believed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				w.ledger.next, w.journal.end, w.journal.record = 10, 30, record
				c.set(w)
				got, err := w.Operation(t.Context(), walletID, id, c.receipt)
				if c.code == "" {
					if err != nil || got != c.want {
						t.Errorf("%+v, %v\nwant %+v", got, err, c.want)
					}
					return
				}
				e := problem(t, err, c.code)
				if c.code == wallet.CodeInvalidRequest && (len(e.Fields) != 1 || e.Fields[0].Field != "journal") {
					t.Errorf("%+v does not name the receipt", e)
				}
			})
		})
	}
}

func TestOperationIsNotFoundOutWithoutTheLedger(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.ledger.fall()
		if _, err := w.Operation(t.Context(), uuid.New(), uuid.New(), wallet.NoReceipt); !errors.Is(err, errGone) {
			t.Errorf("got %v", err)
		}
	})
}

func TestTheListOfAWalletWhoseCreationIsNotAppliedYetIsEmpty(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.ledger.callErr = &wallet.Error{Code: wallet.CodeWalletNotFound}
		id := uuid.New()
		_, err := w.Operations(t.Context(), id, wallet.Query{})
		problem(t, err, wallet.CodeWalletNotFound)
		w.balances.known[id] = true
		if page, err := w.Operations(t.Context(), id, wallet.Query{}); err != nil || len(page.Operations) > 0 {
			t.Errorf("%+v, %v", page, err)
		}
	})
}

// A commit shows in the ledger before its announcement has put the balance.
func TestWhoSeesAnOperationAppliedFindsItInTheBalance(t *testing.T) {
	sees := map[string]func(*world, wallet.Operation) error{
		"with its receipt": func(w *world, op wallet.Operation) error {
			_, err := w.Operation(t.Context(), op.WalletID, op.ID, place)
			return err
		},
		"by its id": func(w *world, op wallet.Operation) error {
			_, err := w.Operation(t.Context(), op.WalletID, op.ID, wallet.NoReceipt)
			return err
		},
		"in the list": func(w *world, op wallet.Operation) error {
			_, err := w.Operations(t.Context(), op.WalletID, wallet.Query{Limit: 2})
			return err
		},
	}
	for name, see := range sees {
		t.Run(name, func(t *testing.T) {
			inWorld(t, wide, func(t *testing.T, w *world) {
				op := w.deposit(5)
				op.Status, op.Sequence, op.BalanceAfter, op.AppliedAt, op.Receipt = wallet.Applied, 3, 40, time.Now().UTC(), place
				earlier := op
				earlier.ID, earlier.Sequence, earlier.BalanceAfter = uuid.New(), 2, 35
				for _, o := range []wallet.Operation{earlier, op} {
					w.ledger.operations[o.Key()] = o
				}
				if err := see(w, op); err != nil {
					t.Fatal(err)
				}
				want := wallet.Wallet{ID: op.WalletID, State: wallet.State{Balance: 40, Sequence: 3}, UpdatedAt: op.AppliedAt}
				if got, ok := w.balances.Cached(t.Context(), op.WalletID); !ok || got != want {
					t.Errorf("%+v, want %+v", got, want)
				}
				for _, age := range []time.Duration{w.BalanceTTL, w.BalanceTTL + longCommit} { // what was cached before it has expired then
					time.Sleep(age - time.Since(op.AppliedAt))
					if err := see(w, op); err != nil || len(w.balances.puts) != 2 {
						t.Errorf("after %s: %+v, %v", age, w.balances.puts, err)
					}
				}
			})
		})
	}
}
