package ledger_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// A list whose entries are in a block that is really damaged keeps no other from being due.
func TestAListThatCannotBeReadKeepsNoOtherFromBeingDue(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	var lists []uuid.UUID
	for range 3 { // each longer than a block
		id := uuid.New()
		var ops []wallet.Operation
		for range 300 {
			ops = append(ops, request(id, 1))
		}
		b.listed(id, ops...)
		lists = append(lists, id)
	}
	due := func() (ids []uuid.UUID, err error) {
		heads, err := b.Due(testContext(t), 0, time.Now().Add(time.Hour), 1000*time.Hour, 10)
		for _, h := range heads {
			ids = append(ids, h.WalletID)
		}
		return ids, err
	}
	if ids, err := due(); err != nil || len(ids) != 3 {
		t.Fatalf("%v, %v", ids, err)
	}
	repair := embeddedtest.Damage(t, b.conn, "requeued", "wallet_id = $1 AND position = (SELECT min(position) FROM requeued WHERE wallet_id = $1)", lists[2])
	if ids, err := due(); !errors.Is(err, wallet.ErrRefused) || len(ids) != 2 || slices.Contains(ids, lists[2]) {
		t.Errorf("%v, %v; want %v", ids, err, lists[:2])
	}
	repair()
	if ids, err := due(); err != nil || len(ids) != 3 {
		t.Errorf("repaired: %v, %v", ids, err)
	}
}
