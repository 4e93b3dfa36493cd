package ledger_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Only what the ledger has passed, and has nowhere, is lost.
func TestLostIsWhatTheLedgerHasPassedAndHasNowhere(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	applied, listed, missing := b.funded(100), uuid.New(), uuid.New()
	ops := decide(funds, applied, 1)
	b.mustCommit(&wallet.Batch{Changes: []wallet.Change{change(applied, 1, ops)}, Operations: ops})
	entry := request(listed, 1)
	b.listed(listed, entry) // which moves the offset of partition 0
	offsets, err := b.Offsets(testContext(t))
	if err != nil || offsets[0] < 1 {
		t.Fatalf("%v, %v", offsets, err)
	}
	passed, ahead := wallet.Receipt{Offset: offsets[0] - 1}, wallet.Receipt{Offset: offsets[0]}
	key := func(walletID, id uuid.UUID) wallet.Key { return wallet.Key{WalletID: walletID, ID: id} }
	another := uuid.New()
	var placed []wallet.Placed
	for _, r := range []wallet.Receipt{passed, ahead, {Partition: partitions, Offset: 0}, wallet.NoReceipt} {
		for _, k := range []wallet.Key{ops[0].Key(), entry.Key(), key(applied, applied), key(missing, missing), key(applied, another), key(missing, ops[0].ID)} {
			placed = append(placed, wallet.Placed{Key: k, Receipt: r})
		}
	}
	lost, err := b.Lost(testContext(t), placed)
	each := []wallet.Key{key(missing, missing), key(applied, another), key(missing, ops[0].ID)}
	if want := slices.Concat(each, each); err != nil || !sameKeys(lost, want) { // passed, and in no journal
		t.Errorf("%v, %v; want %v", lost, err, want)
	}
}

func sameKeys(a, b []wallet.Key) bool {
	count := map[wallet.Key]int{}
	for _, k := range a {
		count[k]++
	}
	for _, k := range b {
		count[k]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}
