package applier

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// lostAtMost is how many operations one look asks for, of those that the ledger has passed
// and has not applied: they are on lists, as a rule. It asks for all of a wallet's, for what
// is lost is applied in order, so of one wallet there may be more.
const lostAtMost = 500

// applyLost has what Kafka has lost applied directly: operations, and creations, that were
// acknowledged to this replica, and that the ledger has passed and has neither applied nor on
// a list. Kafka gave their place to another record, or an operator has the ledger go on with
// another journal. Their ids make them apply once, whoever else may know them. It does not
// wait for that; what cannot be read, or is held by somebody, is for the next look.
func (a *Applier) applyLost(ctx context.Context, missing []wallet.Placed) error {
	lost := map[uuid.UUID]map[uuid.UUID]bool{} // by wallet
	_, err := wallet.InParts(someWallets(missing), lookReads, func(some [][]wallet.Placed) error {
		keys, err := a.Ledger.Lost(ctx, slices.Concat(some...))
		for _, k := range keys {
			if lost[k.WalletID] == nil {
				lost[k.WalletID] = map[uuid.UUID]bool{}
			}
			lost[k.WalletID][k.ID] = true
		}
		return err
	})
	if len(lost) == 0 {
		return err
	}
	held, lockedErr := a.Ledger.Locked(ctx, slices.Collect(maps.Keys(lost)))
	if lockedErr != nil {
		return errors.Join(err, lockedErr)
	}
	for _, id := range held {
		delete(lost, id)
	}
	for id, ids := range lost {
		a.metrics.lost(len(ids))
		a.Log.Error("the journal has lost operations that it had acknowledged: they are being applied directly", "wallet", id, "operations", len(ids))
		if err := a.enqueue(&call{ctx: context.Background(), wallet: id, lost: ids, done: make(chan struct{})}); err != nil {
			a.Log.Error("lost operations wait for the next look", "wallet", id, "error", err)
		}
	}
	return err
}

// someWallets divides the operations, which are together by wallet, and returns those of some
// wallets, picked at random: at least one, and no more than make lostAtMost.
func someWallets(placed []wallet.Placed) [][]wallet.Placed {
	wallets := byWallet(placed, func(p wallet.Placed) uuid.UUID { return p.WalletID })
	rand.Shuffle(len(wallets), func(i, j int) { wallets[i], wallets[j] = wallets[j], wallets[i] })
	n, count := 0, 0
	for n < len(wallets) && (n == 0 || count+len(wallets[n]) <= lostAtMost) {
		count += len(wallets[n])
		n++
	}
	return wallets[:n]
}
