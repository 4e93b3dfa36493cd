package applier

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/walletd/walletd/internal/wallet"
)

// The bounds of one Reconcile: of the operations that it asks the ledger for.
const (
	maxAsked          = 10_000
	maxAskedPerWallet = 2_500 // orphaned ones, and as many others
	lookReads         = 50    // while some are refused; the rest waits for the next Reconcile
)

// Reconcile notes how far the ledger is, settles own operations that the ledger has by
// now, and has those that the journal lost applied directly: it finds what another replica
// applied while no message about it could reach this one. One call is bounded, and free
// while nothing is unsettled. It returns how many it settled, including those recovered
// since the last call.
func (a *Applier) Reconcile(ctx context.Context, offsets map[int32]int64) (settled int, err error) {
	for p, next := range offsets {
		a.ledgerNext.set(p, next, a.Now())
	}
	if a.lanes.unsettled.Load() == 0 && !a.lanes.overflowed.Swap(false) {
		a.lanes.excluded.Store(0)
		return 0, nil
	}
	lanes := a.lanes.inUse()
	for _, ln := range lanes {
		a.endOverflow(ln)
	}
	settled, missing, err := a.settlePassed(ctx, lanes)
	err = errors.Join(err, a.applyLost(ctx, missing))
	a.lanes.excluded.Store(a.countExcluded(lanes))
	return settled + int(a.lanes.recovered.Swap(0)), err
}

// settlePassed settles what the ledger has of the operations whose records it has passed,
// and returns how many those were, and the operations that it does not have.
func (a *Applier) settlePassed(ctx context.Context, lanes []*lane) (settled int, missing []wallet.Placed, err error) {
	_, err = wallet.InParts(a.unsettledPassed(lanes), lookReads, func(some []wallet.Placed) error {
		without, err := a.settleKnown(ctx, some)
		if err == nil {
			settled += len(some) - len(without)
			missing = append(missing, without...)
		}
		return err
	})
	return settled, missing, err
}

// settleKnown settles what the ledger has of these, and returns the others.
func (a *Applier) settleKnown(ctx context.Context, some []wallet.Placed) (missing []wallet.Placed, err error) {
	var q wallet.SnapshotQuery
	for _, u := range some {
		if u.IsCreation() {
			q.Wallets = append(q.Wallets, u.WalletID)
		} else {
			q.Operations = append(q.Operations, u.Key)
		}
	}
	s, err := a.Ledger.Read(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, u := range some {
		_, known := s.Operations[u.Key]
		if u.IsCreation() {
			_, known = s.Wallets[u.WalletID]
		}
		if known { // one that was repeated is there as often
			a.lanes.settle(u.WalletID, u.ID)
		} else {
			missing = append(missing, u)
		}
	}
	return missing, nil
}

// countExcluded counts the unsettled operations that are no load. Those whose record the
// ledger has passed are on requeued lists, which have a bound of their own; orphaned ones are
// being recovered; and while a partition is stalled nothing is gained by refusing other
// wallets. The last are excluded until they are applied, up to half of Limits.Unsettled: the
// other half is for the partitions that move.
func (a *Applier) countExcluded(lanes []*lane) int64 {
	now, passed, stalled := a.Now(), 0, 0
	for _, ln := range lanes {
		ln.intakeMu.Lock()
		for i := range ln.unsettled {
			switch r := ln.unsettled[i].Receipt; {
			case !r.Known() || a.ledgerNext.passed(r):
				passed++
			case a.ledgerNext.stalled(r, now):
				stalled++
			}
		}
		ln.intakeMu.Unlock()
	}
	return int64(passed + min(stalled, a.Limits.Unsettled/2))
}

// unsettledPassed returns unsettled operations and creations whose record the ledger has
// passed, or, if that is lost, the last one left before it. Those that the ledger turns out
// to lack are on requeued lists, stay unsettled, and are asked for again each time. So that
// they do not keep others from being asked for, each wallet has a share, and each look begins
// at another lane.
func (a *Applier) unsettledPassed(lanes []*lane) (passed []wallet.Placed) {
	first := rand.IntN(max(1, len(lanes))) //nolint:gosec // a place to begin, not a secret
	for i := range lanes {
		if len(passed) >= maxAsked {
			break
		}
		passed = a.unsettledPassedOf(lanes[(first+i)%len(lanes)], passed)
	}
	return passed
}

func (a *Applier) unsettledPassedOf(ln *lane, passed []wallet.Placed) []wallet.Placed {
	ln.intakeMu.Lock()
	defer ln.intakeMu.Unlock()
	orphans, others := 0, 0
	for _, u := range ln.unsettled {
		share := &others
		if !u.Receipt.Known() {
			share = &orphans
		}
		if u.behind.Known() && !a.ledgerNext.passed(u.behind) {
			continue
		}
		if *share++; *share <= maxAskedPerWallet {
			passed = append(passed, wallet.Placed{Key: u.Key(), Receipt: u.behind})
		}
	}
	return passed
}
