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

// maxLostAsked bounds the operations about which one Reconcile asks whether they are lost:
// normally they are on requeued lists. A wallet's are asked about together, because lost ones
// are applied in order, so a single wallet may exceed the bound.
const maxLostAsked = 1_000

// The bounds of wallets whose lost operations wait for the direct way, or are tried; the
// others wait for the next Reconcile.
const (
	maxRecoveries     = 500
	maxHeldRecoveries = 20 // besides, of those whose row was held when it was looked at
)

// applyLost has what Kafka has lost applied directly: operations, and creations, that were
// acknowledged to this replica, and that the ledger has passed and has neither applied nor on
// a list. Kafka gave their place to another record, or an operator has the ledger go on with
// another journal. Their ids make them apply once, whoever else may know them. It does not
// wait for that; what cannot be read is for the next Reconcile.
func (a *Applier) applyLost(ctx context.Context, missing []wallet.Placed) error {
	lost, err := a.lost(ctx, someWallets(missing))
	if len(lost) == 0 {
		return err
	}
	_, heldErr := wallet.InParts(slices.Collect(maps.Keys(lost)), lookReads, func(ids []uuid.UUID) error {
		held, err := a.Ledger.Locked(ctx, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			a.startRecovery(id, lost[id], slices.Contains(held, id))
		}
		return nil
	})
	return errors.Join(err, heldErr)
}

// lost returns the ids of those operations that are lost, by wallet.
func (a *Applier) lost(ctx context.Context, missing [][]wallet.Placed) (map[uuid.UUID]map[uuid.UUID]bool, error) {
	lost := map[uuid.UUID]map[uuid.UUID]bool{}
	_, err := wallet.InParts(missing, lookReads, func(some [][]wallet.Placed) error {
		keys, err := a.Ledger.Lost(ctx, slices.Concat(some...))
		for _, k := range keys {
			if lost[k.WalletID] == nil {
				lost[k.WalletID] = map[uuid.UUID]bool{}
			}
			lost[k.WalletID][k.ID] = true
		}
		return err
	})
	return lost, err
}

// startRecovery has a wallet's lost operations applied. held says that somebody, perhaps the one
// who applies the wallet, holds its row: it then waits for one of the turns for such wallets.
func (a *Applier) startRecovery(id uuid.UUID, lost map[uuid.UUID]bool, held bool) {
	if n := a.lanes.noteLost(id, lost); n > 0 {
		a.metrics.losses.Add(float64(n))
		a.Log.Error("the journal has lost operations that it had acknowledged: they are applied directly", "wallet", id, "operations", n)
	}
	underWay, most, turns := &a.lanes.recoveries, int64(maxRecoveries), a.turns
	if held {
		underWay, most, turns = &a.lanes.heldRecoveries, maxHeldRecoveries, a.heldTurns
	}
	if underWay.Load() < most {
		a.enqueueRecovery(&call{ctx: a.ctx, wallet: id, lost: lost, done: make(chan struct{}), underWay: underWay}, turns)
	}
}

// noteLost marks unsettled operations as lost and returns how many were not marked before.
func (l *lanes) noteLost(id uuid.UUID, lost map[uuid.UUID]bool) (n int) {
	ln := l.lockIntake(id)
	defer ln.intakeMu.Unlock()
	for i := range ln.unsettled {
		if u := &ln.unsettled[i]; lost[u.ID] && !u.lost {
			u.lost = true
			n++
		}
	}
	return n
}

// someWallets divides the operations, which are together by wallet, and returns those of some
// wallets, picked at random: at least one, and no more than make maxLostAsked.
func someWallets(placed []wallet.Placed) [][]wallet.Placed {
	wallets := byWallet(placed, func(p wallet.Placed) uuid.UUID { return p.WalletID })
	rand.Shuffle(len(wallets), func(i, j int) { wallets[i], wallets[j] = wallets[j], wallets[i] })
	n, count := 0, 0
	for n < len(wallets) && (n == 0 || count+len(wallets[n]) <= maxLostAsked) {
		count += len(wallets[n])
		n++
	}
	return wallets[:n]
}

// enqueueRecovery has a recovery wait for its turn before it is in the queue: clients of the
// wallet do not wait with it. A wallet has one under way: each Reconcile asks again.
func (a *Applier) enqueueRecovery(c *call, turns chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ln := a.lanes.lockIntake(c.wallet) // so that it is not retired at this moment
	defer ln.intakeMu.Unlock()
	if a.ctx.Err() != nil || !ln.recovering.CompareAndSwap(false, true) {
		return
	}
	c.lane = ln
	c.underWay.Add(1)
	a.direct.Go(func() { a.runRecovery(turns, c) })
}

func (c *call) endRecovery() {
	c.underWay.Add(-1)
	c.lane.recovering.Store(false)
}

func (a *Applier) runRecovery(turns chan struct{}, c *call) {
	select {
	case turns <- struct{}{}:
	case <-a.ctx.Done():
		c.endRecovery()
		return
	}
	begins, err := a.join(c)
	if begins {
		a.drain(c.lane, turns)
		return
	}
	<-turns
	c.endRecovery()
	if err != nil {
		a.Log.Warn("lost operations wait for the next look", "wallet", c.wallet, "error", err)
	}
}
