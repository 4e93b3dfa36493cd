package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

func TestAWalletIsCreatedOnce(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := uuid.New()
	const creators = 8
	made := make(chan bool, creators)
	for i := range creators {
		go func() {
			w, created, err := b.Create(testContext(t), id, now.Add(time.Duration(i)*time.Microsecond))
			if err != nil || w.ID != id || w.State != (wallet.State{}) {
				t.Errorf("%+v, %v", w, err)
			}
			made <- created
		}()
	}
	n := 0
	for range creators {
		if <-made {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d were told that they created it", n)
	}
	first, err := b.Wallet(testContext(t), id)
	if err != nil {
		t.Fatal(err)
	}
	// The request whose record or own call made it is told so however often it asks.
	if _, created, err := b.Create(testContext(t), id, first.UpdatedAt); err != nil || !created {
		t.Errorf("%t, %v", created, err)
	}
	// Creating again later leaves the wallet as it is.
	ops := decide(wallet.State{}, id, 9)
	b.mustCommit(&wallet.Batch{Changes: []wallet.Change{change(id, 0, ops)}, Operations: ops})
	w, created, err := b.Create(testContext(t), id, now.Add(time.Hour))
	if err != nil || created || w != (wallet.Wallet{ID: id, State: wallet.State{Balance: 9, Sequence: 1}, UpdatedAt: now}) {
		t.Errorf("%+v, %t, %v", w, created, err)
	}
}

func TestAWalletThatIsNotThereIsSaidToBe(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	var known *wallet.Error
	if _, err := b.Wallet(testContext(t), uuid.New()); !errors.As(err, &known) || known.Code != wallet.CodeWalletNotFound {
		t.Errorf("%v", err)
	}
	known = nil
	if _, err := b.Operations(testContext(t), uuid.New(), wallet.Query{Limit: 1}); !errors.As(err, &known) || known.Code != wallet.CodeWalletNotFound {
		t.Errorf("%v", err)
	}
}

func TestOutcomesReturnsThoseThatTheLedgerHas(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.funded(100)
	ops := decide(funds, id, 1, -1000)
	refused := wallet.Refuse(request(uuid.New(), 5), now)
	b.mustCommit(&wallet.Batch{Changes: []wallet.Change{change(id, 1, ops)}, Operations: append(ops, refused)})
	keys := []wallet.Key{ops[0].Key(), {WalletID: id, ID: uuid.New()}, ops[1].Key(), refused.Key(), {WalletID: uuid.New(), ID: ops[0].ID}}
	got, err := b.Outcomes(testContext(t), keys)
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	want := map[uuid.UUID]wallet.Operation{ops[0].ID: ops[0], ops[1].ID: ops[1], refused.ID: refused}
	for _, op := range got {
		if op != want[op.ID] {
			t.Errorf("%+v, want %+v", op, want[op.ID])
		}
	}
}
