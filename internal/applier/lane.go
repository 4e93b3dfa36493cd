package applier

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// lane is one wallet's way to the ledger. Whoever holds mu may decide operations
// of the wallet, from computing until the commit is known; so one wallet is
// applied in sequence and different wallets concurrently.
type lane struct {
	mu     sync.Mutex
	cached bool // state is what the ledger had at the last known commit
	state  wallet.State

	exists atomic.Bool // the wallet exists: for ever, whatever else is forgotten

	// acceptMu guards what the accepting side adds while a commit holds mu.
	acceptMu  sync.Mutex
	unsettled []unsettled // own acknowledged operations without an outcome, in journal order
	overflow  int64       // offset of the last one that did not fit; -1: none
	queue     []*call     // the direct way's waiting operations
	draining  bool        // a goroutine of the direct way serves the queue

	closed bool // retired: written under both mutexes, get another lane
}

// lanes is the bounded map of lanes.
type lanes struct {
	m     sync.Map // uuid.UUID → *lane
	count atomic.Int64
	limit int
	kept  atomic.Int64 // unsettled operations over all lanes
}

func newLanes(limit int) *lanes { return &lanes{limit: limit} }

// get returns the wallet's lane, which may be retired before it is locked.
func (l *lanes) get(id uuid.UUID) *lane {
	if v, ok := l.m.Load(id); ok {
		return v.(*lane)
	}
	v, loaded := l.m.LoadOrStore(id, &lane{overflow: -1})
	if !loaded && l.count.Add(1) > int64(l.limit) {
		l.retire(2)
	}
	return v.(*lane)
}

// lock returns the wallet's lane with mu held.
func (l *lanes) lock(id uuid.UUID) *lane {
	for {
		ln := l.get(id)
		ln.mu.Lock()
		if !ln.closed {
			return ln
		}
		ln.mu.Unlock()
	}
}

// accept returns the wallet's lane with acceptMu held.
func (l *lanes) accept(id uuid.UUID) *lane {
	for {
		ln := l.get(id)
		ln.acceptMu.Lock()
		if !ln.closed {
			return ln
		}
		ln.acceptMu.Unlock()
	}
}

// lockAll locks the lanes of all ids in the order of the ids, the one order in
// which anybody locks more than one.
func (l *lanes) lockAll(ids []uuid.UUID) map[uuid.UUID]*lane {
	slices.SortFunc(ids, compareIDs)
	locked := make(map[uuid.UUID]*lane, len(ids))
	for _, id := range ids {
		locked[id] = l.lock(id)
	}
	return locked
}

// retire closes up to n idle lanes. The bound may be passed for a moment, by no
// more lanes than are in use.
func (l *lanes) retire(n int) {
	l.m.Range(func(key, v any) bool {
		ln := v.(*lane)
		if !ln.mu.TryLock() {
			return true
		}
		if ln.close() {
			l.m.Delete(key)
			l.count.Add(-1)
			n--
		}
		ln.mu.Unlock()
		return n > 0
	})
}

// close marks an idle lane retired; mu is held.
func (ln *lane) close() bool {
	ln.acceptMu.Lock()
	defer ln.acceptMu.Unlock()
	ln.closed = !ln.closed && len(ln.unsettled) == 0 && len(ln.queue) == 0 && !ln.draining && ln.overflow < 0
	return ln.closed
}

// forget makes the selected lanes read the ledger again.
func (l *lanes) forget(selected func(uuid.UUID) bool) {
	l.m.Range(func(key, v any) bool {
		if selected(key.(uuid.UUID)) {
			ln := v.(*lane)
			ln.mu.Lock()
			ln.cached = false
			ln.mu.Unlock()
		}
		return true
	})
}

// Known reports whether this replica knows that the wallet exists.
func (a *Applier) Known(id uuid.UUID) bool {
	v, ok := a.lanes.m.Load(id)
	return ok && v.(*lane).exists.Load()
}

// Exists notes that the wallet exists.
func (a *Applier) Exists(id uuid.UUID) { a.lanes.get(id).exists.Store(true) }

func compareIDs(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }
