package applier

import (
	"math"
	"slices"
	"sort"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// unsettled is an own acknowledged operation (or creation) whose outcome this
// replica does not know yet. The direct way applies it before anything newer.
//
//	acknowledged ──► unsettled ──────► forgotten: its outcome is known
//	                     │ the journal lost its record      ▲
//	                 orphaned                               │
//	                     │ the ledger has passed what is    │
//	                     ▼ left, and has it nowhere         │
//	                   lost ──► recovered by the direct way ┘
//
// Also one that is not orphaned is lost once the ledger has passed its offset without it:
// another record got its place. What is on a requeued list stays unsettled until it is applied.
type unsettled struct {
	wallet.Operation                // without a Receipt if it is orphaned: the journal does not have it any more
	behind           wallet.Receipt // once the ledger is past this record, the operation is applied, listed or lost; NoReceipt: it is so already
	lost             bool           // the ledger has been asked, and nobody else will apply it
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
		ln.unsettled = append(ln.unsettled, unsettled{Operation: op, behind: rec.Receipt})
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
		if !ln.unsettled[i].Receipt.Known() {
			l.orphans.Add(-1)
		}
		if i == 0 { // normally: outcomes come in order
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
// accepted at since or later, have no known outcome and are not orphaned, and how many got
// one since the wallet has its lane. Beyond Limits.UnsettledPerWallet they are not counted.
func (a *Applier) Unsettled(id uuid.UUID, since time.Time) (waiting int, settled int64) {
	v, ok := a.lanes.m.Load(id)
	if !ok {
		return 0, 0
	}
	ln := v.(*lane)
	ln.intakeMu.Lock()
	defer ln.intakeMu.Unlock()
	// In journal order, which is as good as that of acceptance.
	earlier := sort.Search(len(ln.unsettled), func(i int) bool { return !ln.unsettled[i].AcceptedAt.Before(since) })
	waiting = len(ln.unsettled) - earlier
	if a.Recovering() {
		waiting -= countOrphans(ln.unsettled[earlier:])
	}
	return waiting, ln.settled
}

func countOrphans(ops []unsettled) (n int) {
	for i := range ops {
		if !ops[i].Receipt.Known() {
			n++
		}
	}
	return n
}

// JournalReplaced notes that everything acknowledged so far is in a topic that is no longer
// written; its offsets say nothing about the next topic. Operations without an outcome are
// orphaned: they stop counting as load, and the next Reconcile asks the ledger for them and
// has the missing ones applied.
func (a *Applier) JournalReplaced() {
	a.ledgerNext.forgetBacklogs()
	a.lanes.orphan(func(wallet.Receipt) bool { return true }, math.MaxInt64, wallet.NoReceipt)
}

// JournalTruncated notes that a partition has lost its records from end to before
// acknowledged, the offset behind the last one that was acknowledged here before the end was
// asked for; those from there on were written later, and are there. It is JournalReplaced for
// the lost ones, but that they are applied only after the ledger has passed what is left.
func (a *Applier) JournalTruncated(partition int32, end, acknowledged int64) {
	behind := wallet.Receipt{Partition: partition, Offset: end - 1}
	if end == 0 {
		behind = wallet.NoReceipt
	}
	a.lanes.orphan(func(r wallet.Receipt) bool { return r.Partition == partition && r.Offset >= end }, acknowledged, behind)
}

// Recovering reports whether operations are orphaned and have no outcome yet.
func (a *Applier) Recovering() bool { return a.lanes.orphans.Load() > 0 }

// orphan clears the receipt of each unsettled operation whose record is gone and has an offset
// below acknowledged. What was orphaned before, and is applied behind a record that is gone
// now too, is applied behind what is left.
func (l *lanes) orphan(gone func(wallet.Receipt) bool, acknowledged int64, behind wallet.Receipt) {
	lost := func(r wallet.Receipt) bool { return r.Known() && r.Offset < acknowledged && gone(r) }
	for _, ln := range l.inUse() {
		ln.intakeMu.Lock()
		for i := range ln.unsettled {
			switch u := &ln.unsettled[i]; {
			case lost(u.Receipt):
				u.Receipt, u.behind = wallet.NoReceipt, behind
				l.orphans.Add(1)
			case !u.Receipt.Known() && u.behind.Known() && gone(u.behind):
				u.behind = behind
			}
		}
		if lost(ln.overflow) {
			ln.overflow = wallet.NoReceipt
		}
		ln.intakeMu.Unlock()
	}
}

// Accepted returns an operation that was acknowledged to this replica and has no outcome yet,
// as it was accepted: it is PENDING, also when the journal has lost it.
func (a *Applier) Accepted(key wallet.Key) (wallet.Operation, bool) {
	v, ok := a.lanes.m.Load(key.WalletID)
	if !ok {
		return wallet.Operation{}, false
	}
	ln := v.(*lane)
	ln.intakeMu.Lock()
	defer ln.intakeMu.Unlock()
	i := slices.IndexFunc(ln.unsettled, func(u unsettled) bool { return u.ID == key.ID && !u.IsCreation() })
	if i < 0 {
		return wallet.Operation{}, false
	}
	return ln.unsettled[i].Operation, true
}

// UnsettledInAll returns how many unsettled operations of all wallets count as load, as of
// the last Reconcile (see countExcluded), and how many were ever settled.
func (a *Applier) UnsettledInAll() (waiting int, settled int64) {
	return int(max(0, a.lanes.unsettled.Load()-a.lanes.excluded.Load())), a.lanes.settled.Load()
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
