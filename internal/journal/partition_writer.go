package journal

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// entry is a record, or a part of one, that waits to be written.
type entry struct {
	rec  wallet.Record
	done func(wallet.Receipt, error) // called once; it must not wait
	told atomic.Bool
}

func (e *entry) finish(r wallet.Receipt, err error) {
	if e.told.CompareAndSwap(false, true) { // else it was given up before
		e.done(r, err)
	}
}

// partitionWriter writes one partition: one flush at a time; what arrives meanwhile forms the
// next. So a lone operation waits for nobody, and under load operations of one wallet share a
// record and records share a request, without a linger to tune. It is a state machine, and
// calls nobody but the writers of its entries.
//
// A flush that is not acknowledged in time stalls it: its entries' writers are told so, and
// new entries are refused at once, until the broker has answered after all. So does a hold,
// and close for good.
type partitionWriter struct {
	partition  int32
	ackTimeout time.Duration
	next       atomic.Int64 // offset after the last acknowledged record that is not lost; 0: none
	least      int64        // the ledger's offset when this flush began: a record below it took a lost record's offset

	mu         sync.Mutex
	waiting    []*entry
	operations int       // that wait
	flying     []*entry  // of the flush under way, if there is one
	number     int       // number of the flush under way, or else of the next
	givenUp    bool      // the flush under way was
	applied    int64     // the ledger's offset, as it was told last
	lostFrom   int64     // the end at the last loss that the applier was told of; the meeting's
	held       writeHold // why nothing may be written
	closed     bool
	late       *time.Timer // until the flush under way is to be acknowledged
}

// demand is what a partition writer's waiting entries ask for.
type demand int

const (
	noFlush   demand = iota
	aFlush           // something waits, and no flush is under way
	fullFlush        // as much as makes a flush worth it
)

// add queues an entry for the next flush.
func (p *partitionWriter) add(e *entry) (demand, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled() {
		return noFlush, wallet.ErrNotJournaled
	}
	p.waiting = append(p.waiting, e)
	p.operations += len(e.rec.Operations)
	return p.demands(), nil
}

// stalled reports whether nothing may be written; mu is held.
func (p *partitionWriter) stalled() bool { return p.givenUp || p.held != "" || p.closed }

// obstacle is why nothing may be written, if that is so.
func (p *partitionWriter) obstacle() (held writeHold, stalled bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held, p.stalled()
}

// demands is what the partition writer asks for now; mu is held.
func (p *partitionWriter) demands() demand {
	switch {
	case p.flying != nil || len(p.waiting) == 0:
		return noFlush
	case p.operations >= gatherEnough:
		return fullFlush
	}
	return aFlush
}

func (p *partitionWriter) hasEnough() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.demands() == fullFlush
}

// take begins a flush of everything that waits. It returns nothing if nothing does,
// or while one is under way.
func (p *partitionWriter) take() []*pendingRecord {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flying != nil || len(p.waiting) == 0 {
		return nil
	}
	p.flying, p.waiting, p.operations = p.waiting, nil, 0
	p.least = p.applied
	n := p.number
	p.late = time.AfterFunc(p.ackTimeout, func() { p.overdue(n) })
	return group(p.flying)
}

// landed ends the flush: the broker has answered for all of it.
func (p *partitionWriter) landed() demand {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late.Stop()
	p.flying, p.givenUp = nil, false
	p.number++
	return p.demands()
}

// verdict is what the broker's answer says of a record.
type verdict int

const (
	unacknowledged       verdict = iota
	overtaking                   // the same, and the first to show that the partition has lost its end
	acknowledged                 // it follows this writer's last record
	acknowledgedAfterGap         // somebody else has written between the two
)

// judge is called for each record in offset order. A record overtakes a lost one if it got an
// offset that was acknowledged here before, or that the ledger had passed before it was sent.
// The ledger may pass it unread, so neither it nor what follows is acknowledged, and nothing
// more is written until it is known where the partition ends.
func (p *partitionWriter) judge(offset int64, err error) verdict {
	switch held := p.currentHold(); {
	case err != nil || offset < 0:
		// A batch that the broker had already, its first answer being lost, is a success
		// whose offset may not be known; the fetch will bring it.
		return unacknowledged
	case held == holdLost || held == holdForeign: // nobody waits for it any more
		return unacknowledged
	case offset < max(p.next.Load(), p.least):
		p.hold(holdLost)
		return overtaking
	}
	if expected := p.next.Swap(offset + 1); offset != expected {
		return acknowledgedAfterGap
	}
	return acknowledged
}

// reached notes the ledger's offset.
func (p *partitionWriter) reached(applied int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.applied = applied
}

// overdue stalls the partition writer if that flush still is under way.
func (p *partitionWriter) overdue(flush int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if flush == p.number {
		p.giveUp()
	}
}

// giveUp lets everybody go who waits.
func (p *partitionWriter) giveUp() {
	p.givenUp = p.flying != nil
	for _, e := range p.flying {
		e.finish(wallet.NoReceipt, wallet.ErrUnacknowledged)
	}
	for _, e := range p.waiting {
		e.finish(wallet.NoReceipt, wallet.ErrNotJournaled)
	}
	p.waiting, p.operations = nil, 0
}

// close lets everybody go, for good.
func (p *partitionWriter) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.giveUp()
}

// pendingRecord is a record with the entries that share it.
type pendingRecord struct {
	rec     wallet.Record
	entries []*entry
}

// finish tells the writers.
func (g *pendingRecord) finish(r wallet.Receipt, err error) {
	for _, e := range g.entries {
		e.finish(r, err)
	}
}

// group puts operations of one wallet into one record, in order. Copies, creates
// and backfills have a record of their own, behind which a new one begins.
func group(entries []*entry) []*pendingRecord {
	groups := make([]*pendingRecord, 0, len(entries))
	open := make(map[uuid.UUID]*pendingRecord, len(entries))
	for _, e := range entries {
		g := open[e.rec.WalletID]
		shares := e.rec.Kind == wallet.KindOperations && e.rec.Attempt == 0
		if shares && g != nil && len(g.rec.Operations)+len(e.rec.Operations) <= wallet.MaxRecordOperations {
			g.rec.Operations = append(g.rec.Operations, e.rec.Operations...)
			g.entries = append(g.entries, e)
			continue
		}
		g = &pendingRecord{rec: e.rec, entries: []*entry{e}}
		groups = append(groups, g)
		if shares {
			open[e.rec.WalletID] = g
		} else {
			delete(open, e.rec.WalletID)
		}
	}
	return groups
}
