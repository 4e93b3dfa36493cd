package journal

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

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

// pen writes one partition: one flush at a time, what arrives meanwhile forms the
// next. So a lone operation waits for nobody, and under load operations of one
// wallet share a record and records share a request, without a linger to tune.
//
// A flush that is not acknowledged in time stalls the pen: whoever waits is let go
// and new entries are refused at once, until the broker has answered after all.
type pen struct {
	partition  int32
	topic      string
	ackTimeout time.Duration
	acked      func(wallet.Record)                        // called in offset order, before the writers are told
	gapped     func()                                     // called when somebody else has written between this pen's records
	ready      func()                                     // called when something waits and no flush is under way
	enough     func()                                     // called when besides that is as much as makes a flush worth it
	lostEnd    func(partition int32, offset, least int64) // called when a record got an offset below the least that it can have
	next       int64                                      // offset after the last acknowledged record
	least      int64                                      // the ledger's offset before the flush under way began: its records have none below

	mu         sync.Mutex
	waiting    []*entry
	operations int      // that wait
	flying     []*entry // of the flush under way, if there is one
	number     int      // number of the flush under way, or else of the next
	stalled    bool
	applied    int64       // the ledger's offset, as it was told last
	held       holding     // stalled while it is not known that the journal has what the ledger has applied
	closed     bool        // stalled for good
	late       *time.Timer // until the flush under way is to be acknowledged
}

// add queues an entry for the next flush.
func (p *pen) add(e *entry) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled {
		return wallet.ErrNotJournaled
	}
	p.waiting = append(p.waiting, e)
	p.operations += len(e.rec.Operations)
	if p.flying == nil {
		p.want()
	}
	return nil
}

// want has what waits flushed; mu is held.
func (p *pen) want() {
	p.ready()
	if p.operations >= gatherEnough {
		p.enough()
	}
}

func (p *pen) hasEnough() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.flying == nil && p.operations >= gatherEnough
}

// take begins a flush of everything that waits. It returns nothing if nothing does,
// or while one is under way.
func (p *pen) take() []*pendingRecord {
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
func (p *pen) landed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late.Stop()
	p.flying, p.stalled = nil, p.closed || p.held != ""
	p.number++
	if len(p.waiting) > 0 {
		p.want()
	}
}

// answer tells the writers of a record what the broker has said of it, and returns
// whether it is acknowledged.
func (p *pen) answer(g *pendingRecord, r *kgo.Record, err error) bool {
	// A batch that the broker had already (its first answer was lost) is a success
	// whose offset may not be known; the fetch will bring it.
	if err != nil || r.Offset < 0 || p.isOvertaken(r.Offset) {
		for _, e := range g.entries {
			e.finish(wallet.NoReceipt, wallet.ErrUnacknowledged)
		}
		return false
	}
	g.rec.Receipt = wallet.Receipt{Partition: r.Partition, Offset: r.Offset}
	if r.Offset != p.next {
		p.gapped()
	}
	p.next = r.Offset + 1
	p.acked(g.rec)
	for _, e := range g.entries {
		e.finish(g.rec.Receipt, nil)
	}
	return true
}

// isOvertaken reports whether a record has the place of another that was lost: of one that
// was acknowledged to this pen, or that the ledger had passed before. The ledger may pass
// this one too, unread, so nothing more is written until a look has shown where the
// partition ends.
func (p *pen) isOvertaken(offset int64) bool {
	least := max(p.next, p.least)
	if offset >= least {
		return false
	}
	if p.hold(holdLost) {
		p.lostEnd(p.partition, offset, least)
	}
	return true
}

// reached notes the ledger's offset.
func (p *pen) reached(applied int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.applied = applied
}

// overdue stalls the pen if that flush still is under way.
func (p *pen) overdue(flush int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if flush == p.number {
		p.giveUp()
	}
}

// giveUp lets everybody go who waits.
func (p *pen) giveUp() {
	p.stalled = true
	for _, e := range p.flying {
		e.finish(wallet.NoReceipt, wallet.ErrUnacknowledged)
	}
	for _, e := range p.waiting {
		e.finish(wallet.NoReceipt, wallet.ErrNotJournaled)
	}
	p.waiting, p.operations = nil, 0
}

// close lets everybody go, for good.
func (p *pen) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.giveUp()
}

// holding is why a pen may not write, "" if it may.
type holding string

const (
	holdUntold holding = "where it ends was not told yet"
	holdLost   holding = "it has lost its end"
)

// hold stalls the pen, or ends that: what was acknowledged to it before may be gone then.
// It returns whether something has changed.
func (p *pen) hold(why holding) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := p.held != why
	if p.held = why; why != "" {
		p.giveUp()
	} else if p.flying == nil {
		p.stalled = p.closed
		if changed {
			p.next = 0
		}
	}
	return changed
}

func (p *pen) holding() holding {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// pendingRecord is a record with the entries that share it.
type pendingRecord struct {
	rec     wallet.Record
	entries []*entry
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
