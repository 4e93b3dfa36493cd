package applier

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sort"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// unsettled is an own acknowledged operation (or creation) whose outcome this
// replica does not know yet. The direct way applies it before anything newer.
type unsettled struct {
	kind wallet.Kind
	wallet.Operation
}

// keep remembers an acknowledged record's operations at their wallet.
func (l *lanes) keep(rec wallet.Record, most, mostInAll int) {
	ln := l.lockIntake(rec.WalletID)
	defer ln.intakeMu.Unlock()
	if rec.Kind == wallet.KindCreate {
		ln.exists.Store(true)
	}
	if len(ln.unsettled)+len(rec.Operations) > most || int(l.unsettled.Load()) >= mostInAll {
		ln.overflow = rec.Receipt
		l.overflowed.Store(true)
		return
	}
	ln.unsettled = slices.Grow(ln.unsettled, len(rec.Operations))
	for _, op := range rec.Operations {
		op.WalletID, op.Receipt = rec.WalletID, rec.Receipt
		ln.unsettled = append(ln.unsettled, unsettled{rec.Kind, op})
	}
	l.unsettled.Add(int64(len(rec.Operations)))
}

// Settle forgets operations whose outcome is known: from this replica's own
// commit, from the owner's message, or from the ledger.
func (a *Applier) Settle(ops []wallet.Operation) {
	for i := range ops {
		a.lanes.settle(ops[i].WalletID, ops[i].ID)
	}
}

// announce tells what was committed, here and to others.
func (a *Applier) announce(c wallet.Committed) {
	for i := range c.Results {
		a.lanes.settle(c.Results[i].WalletID, c.Results[i].ID)
	}
	a.Announcer.Announce(context.Background(), c)
}

func (l *lanes) settle(walletID, id uuid.UUID) {
	v, ok := l.m.Load(walletID)
	if !ok {
		return
	}
	ln := v.(*lane)
	ln.intakeMu.Lock()
	defer ln.intakeMu.Unlock()
	for i := range ln.unsettled {
		if ln.unsettled[i].ID != id {
			continue
		}
		if i == 0 { // as a rule: outcomes come in order
			ln.unsettled = ln.unsettled[1:]
		} else {
			ln.unsettled = slices.Delete(ln.unsettled, i, i+1)
		}
		if len(ln.unsettled) == 0 {
			ln.unsettled = nil
		}
		ln.settled++
		l.unsettled.Add(-1)
		l.settled.Add(1)
		return
	}
}

// Unsettled returns how many own acknowledged operations of the wallet, of those
// accepted at since or later, have no known outcome, without those of a journal that was
// replaced, and how many got one since the wallet has its lane. Beyond
// Limits.UnsettledPerWallet they are not counted.
func (a *Applier) Unsettled(id uuid.UUID, since time.Time) (waiting int, settled int64) {
	v, ok := a.lanes.m.Load(id)
	if !ok {
		return 0, 0
	}
	ln := v.(*lane)
	ln.intakeMu.Lock()
	defer ln.intakeMu.Unlock()
	// In journal order, which is as good as that of acceptance.
	earlier := sort.Search(len(ln.unsettled), func(i int) bool {
		return ln.unsettled[i].Receipt.Known() && !ln.unsettled[i].AcceptedAt.Before(since)
	})
	return len(ln.unsettled) - earlier, ln.settled
}

// JournalReplaced notes that what was acknowledged so far is in a topic that is not written
// any more, and of which the offsets say nothing in the next one. What has no outcome yet is
// no load from now on; the next look asks for it, and has it applied (applyLost).
func (a *Applier) JournalReplaced() {
	for _, ln := range a.lanes.inUse() {
		ln.intakeMu.Lock()
		for i := range ln.unsettled {
			ln.unsettled[i].Receipt = wallet.NoReceipt
		}
		ln.overflow = wallet.NoReceipt
		ln.intakeMu.Unlock()
	}
}

// UnsettledInAll is the same of all wallets, whenever accepted, without those that are no
// load for other wallets, as of the last look (countAside).
func (a *Applier) UnsettledInAll() (waiting int, settled int64) {
	return int(max(0, a.lanes.unsettled.Load()-a.lanes.aside.Load())), a.lanes.settled.Load()
}

// The operations whose outcome one look at the ledger asks for.
const (
	lookAtMost    = 10_000
	lookPerWallet = 2_500
	lookReads     = 50 // in which some are refused; the others wait for the next look
)

// Reconcile notes how far the ledger is and settles what it has: for records that
// another replica applied while no message about it could reach this one. It costs
// nothing while every own operation is settled. One call is one look, which has its bounds;
// it returns how many it settled.
func (a *Applier) Reconcile(ctx context.Context, offsets map[int32]int64) (settled int, err error) {
	for p, next := range offsets {
		a.ledgerNext.set(p, next, a.Now())
	}
	if a.lanes.unsettled.Load() == 0 && !a.lanes.overflowed.Swap(false) {
		a.lanes.aside.Store(0)
		return 0, nil
	}
	lanes := a.lanes.inUse()
	for _, ln := range lanes {
		a.endOverflow(ln)
	}
	var missing []wallet.Placed
	_, err = wallet.InParts(a.unsettledPassed(lanes), lookReads, func(some []sought) error {
		without, err := a.settleKnown(ctx, some)
		if err == nil {
			settled += len(some) - len(without)
			missing = append(missing, without...)
		}
		return err
	})
	err = errors.Join(err, a.applyLost(ctx, missing))
	a.lanes.aside.Store(a.countAside(lanes))
	return settled, err
}

// sought is an unsettled operation, or creation, to be looked for in the ledger.
type sought struct {
	kind wallet.Kind
	wallet.Placed
}

// settleKnown settles what the ledger has of these, and returns the others.
func (a *Applier) settleKnown(ctx context.Context, some []sought) (missing []wallet.Placed, err error) {
	var q wallet.SnapshotQuery
	for _, u := range some {
		if u.kind == wallet.KindCreate {
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
		if u.kind == wallet.KindCreate {
			_, known = s.Wallets[u.WalletID]
		}
		if known { // one that was repeated is there as often
			a.lanes.settle(u.WalletID, u.ID)
		} else {
			missing = append(missing, u.Placed)
		}
	}
	return missing, nil
}

// inUse returns the lanes with unsettled operations, or an overflow of them.
func (l *lanes) inUse() (lanes []*lane) {
	l.m.Range(func(_, v any) bool {
		ln := v.(*lane)
		ln.intakeMu.Lock()
		defer ln.intakeMu.Unlock()
		if len(ln.unsettled) > 0 || ln.overflow.Known() {
			lanes = append(lanes, ln)
		}
		return true
	})
	return lanes
}

// countAside counts the operations that are no load: the ledger has passed their record, so
// that they are on a list, which has its own bound; their journal is gone; or their partition
// stands still, and room for others makes it no slower. Of these no more than half of what is
// remembered: the other half is for those of the partitions that move.
func (a *Applier) countAside(lanes []*lane) int64 {
	now, passed, standing := a.Now(), 0, 0
	for _, ln := range lanes {
		ln.intakeMu.Lock()
		for i := range ln.unsettled {
			switch r := ln.unsettled[i].Receipt; {
			case !r.Known() || a.ledgerNext.passed(r):
				passed++
			case a.ledgerNext.stands(r.Partition, now):
				standing++
			}
		}
		ln.intakeMu.Unlock()
	}
	return int64(passed + min(standing, a.Limits.Unsettled/2))
}

// unsettledPassed returns unsettled operations, and unsettled creations, whose
// record the ledger has passed. Those that it does not have all the same are requeued, and
// stay unsettled: so that they do not keep others from being asked for, each wallet has a
// share, and each look begins at another lane.
func (a *Applier) unsettledPassed(lanes []*lane) (passed []sought) {
	first := rand.IntN(max(1, len(lanes))) //nolint:gosec // a place to begin, not a secret
	for i := range lanes {
		if len(passed) >= lookAtMost {
			break
		}
		passed = a.unsettledPassedOf(lanes[(first+i)%len(lanes)], passed)
	}
	return passed
}

func (a *Applier) unsettledPassedOf(ln *lane, passed []sought) []sought {
	ln.intakeMu.Lock()
	defer ln.intakeMu.Unlock()
	n := sort.Search(len(ln.unsettled), func(i int) bool { return ln.unsettled[i].Receipt.Known() })
	lost, known := ln.unsettled[:n], ln.unsettled[n:] // with a journal, and in this one
	for _, some := range [][]unsettled{lost, known} {
		for _, u := range some[:min(len(some), lookPerWallet)] {
			if !u.Receipt.Known() || a.ledgerNext.passed(u.Receipt) {
				passed = append(passed, sought{u.kind, wallet.Placed{Key: u.Key(), Receipt: u.Receipt}})
			}
		}
	}
	return passed
}

// endOverflow ends the lane's overflow once the ledger has passed it.
func (a *Applier) endOverflow(ln *lane) {
	ln.intakeMu.Lock()
	defer ln.intakeMu.Unlock()
	if ln.overflow.Known() && !a.clearOverflow(ln) {
		a.lanes.overflowed.Store(true)
	}
}

// clearOverflow ends the lane's overflow if the ledger has passed it, and reports whether
// there is none any more; intakeMu is held.
func (a *Applier) clearOverflow(ln *lane) bool {
	if a.ledgerNext.passed(ln.overflow) {
		ln.overflow = wallet.NoReceipt
	}
	return !ln.overflow.Known()
}
