package applier

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// lostAtMost is how many operations one look asks for, of those that the ledger has passed
// and has not applied: they are on lists, as a rule.
const lostAtMost = 500

// applyLost has what Kafka has lost applied directly: operations, and creations, that were
// acknowledged to this replica, and that the ledger has passed and has neither applied nor on
// a list. Kafka gave their place to another record, or an operator has the ledger go on with
// another journal. Their ids make them apply once, whoever else may know them. It does not
// wait for that.
func (a *Applier) applyLost(ctx context.Context, missing []wallet.Placed) error {
	if len(missing) > lostAtMost {
		first := rand.IntN(len(missing)) //nolint:gosec // a place to begin, not a secret
		missing = slices.Concat(missing[first:], missing[:first])[:lostAtMost]
	}
	lost := map[uuid.UUID]map[uuid.UUID]bool{} // by wallet
	_, err := wallet.InParts(missing, lookReads, func(some []wallet.Placed) error {
		keys, err := a.Ledger.Lost(ctx, some)
		for _, k := range keys {
			if lost[k.WalletID] == nil {
				lost[k.WalletID] = map[uuid.UUID]bool{}
			}
			lost[k.WalletID][k.ID] = true
		}
		return err
	})
	for id, ids := range lost {
		a.metrics.lost(len(ids))
		a.Log.Error("the journal has lost operations that it had acknowledged: they are applied directly", "wallet", id, "operations", len(ids))
		if err := a.enqueue(&call{ctx: context.Background(), wallet: id, lost: ids, done: make(chan struct{})}); err != nil {
			a.Log.Error("lost operations wait for the next look", "wallet", id, "error", err)
		}
	}
	return err
}
