package applier

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

const (
	lostAtMost   = 500              // operations that one look asks for, of those that the ledger has passed and does not have
	lostPatience = 10 * time.Second // for a row that somebody holds; then the next look
)

// applyLost has what Kafka has lost applied directly: operations, and creations, that were
// acknowledged to this replica, and that the ledger has passed and has neither applied nor on
// a list. Kafka gave their place to another record, or an operator has the ledger go on with
// another journal. Their ids make them apply once, whoever else may know them.
func (a *Applier) applyLost(ctx context.Context, missing []wallet.Placed) error {
	if n := len(missing) - lostAtMost; n > 0 {
		first := rand.IntN(n + 1) //nolint:gosec // a place to begin, not a secret
		missing = missing[first : first+lostAtMost]
	}
	lost := map[uuid.UUID]int{}
	_, err := wallet.InParts(missing, lookReads, func(some []wallet.Placed) error {
		keys, err := a.Ledger.Lost(ctx, some)
		for _, k := range keys {
			lost[k.WalletID]++
		}
		return err
	})
	for id, n := range lost {
		a.metrics.lost(n)
		a.Log.Error("the journal has lost operations that it had acknowledged: they are applied directly", "wallet", id, "operations", n)
		if err := a.applyUnsettled(ctx, id); err != nil {
			a.Log.Error("lost operations wait for the next look", "wallet", id, "error", err)
		}
	}
	return err
}

// applyUnsettled has the direct way apply what this replica had acknowledged of the wallet
// and knows no outcome of. It does not wait for that.
func (a *Applier) applyUnsettled(ctx context.Context, id uuid.UUID) error {
	ctx, cancel := context.WithCancel(ctx)
	time.AfterFunc(lostPatience, cancel)
	return a.enqueue(&call{ctx: ctx, wallet: id, done: make(chan struct{})})
}
