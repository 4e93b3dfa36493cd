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
	wallet uuid.UUID
	mu     mutex
	cached bool // state is what the ledger had at the last known commit
	state  wallet.State

	exists atomic.Bool // the wallet exists: for ever, whatever else is forgotten

	// intakeMu guards what the accepting side adds while a commit holds mu.
	intakeMu  sync.Mutex
	unsettled []unsettled    // own acknowledged operations without an outcome, in journal order
	settled   int64          // how many of them got their outcome, ever
	overflow  wallet.Receipt // of the last record that found no room there; NoReceipt: none
	queue     []*call        // the direct way's waiting operations
	draining  bool           // a goroutine of the direct way serves the queue

	recovering atomic.Bool // what was lost of the wallet waits for the direct way, or is tried

	closed bool // retired: written under both mutexes, get another lane
}

// mutex holds a lane: a sync.Mutex. The simulation has one of its own, which lets
// it decide who of those that wait goes on.
type mutex interface {
	sync.Locker
	TryLock() bool
}

// lanes is the bounded map of lanes.
type lanes struct {
	m     sync.Map // uuid.UUID → *lane
	limit int
	mutex func(uuid.UUID) mutex // makes a wallet's

	unsettled      atomic.Int64 // operations, over all lanes
	settled        atomic.Int64 // of all lanes, ever
	excluded       atomic.Int64 // of the unsettled ones, those that were no load at the last Reconcile (countExcluded)
	orphans        atomic.Int64 // of the unsettled ones, those that the journal does not have any more
	recoveries     atomic.Int64 // wallets whose lost operations wait for the direct way, or are tried
	heldRecoveries atomic.Int64 // the same of those whose row was held
	recovered      atomic.Int64 // lost operations that got their outcome, since it was last read
	overflowed     atomic.Bool  // some lane may have an overflow

	mu    sync.Mutex
	order []uuid.UUID // of all lanes, the next to be looked at for retirement first
}

// retireLooks is how many lanes a new one looks at beyond the limit, to retire
// idle ones; so a new lane costs the same however many are in use.
const retireLooks = 64

func newLanes(limit int) *lanes {
	return &lanes{limit: limit, mutex: func(uuid.UUID) mutex { return new(sync.Mutex) }}
}

// get returns the wallet's lane, which may be retired before it is locked.
func (l *lanes) get(id uuid.UUID) *lane {
	if v, ok := l.m.Load(id); ok {
		return v.(*lane)
	}
	v, loaded := l.m.LoadOrStore(id, &lane{wallet: id, mu: l.mutex(id), overflow: wallet.NoReceipt})
	if !loaded {
		l.added(id)
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

// lockIntake returns the wallet's lane with intakeMu held.
func (l *lanes) lockIntake(id uuid.UUID) *lane {
	for {
		ln := l.get(id)
		ln.intakeMu.Lock()
		if !ln.closed {
			return ln
		}
		ln.intakeMu.Unlock()
	}
}

// lockAll locks the lanes of all ids in the order of the ids, the one order in
// which anybody locks more than one.
func (l *lanes) lockAll(ids []uuid.UUID) map[uuid.UUID]*lane {
	slices.SortFunc(ids, wallet.CompareIDs)
	locked := make(map[uuid.UUID]*lane, len(ids))
	for _, id := range ids {
		locked[id] = l.lock(id)
	}
	return locked
}

// added notes a new lane and, beyond the limit, retires idle ones. While all that
// it looks at are in use the limit is passed: that is bounded by the requests and
// unsettled operations that use them.
func (l *lanes) added(id uuid.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range min(retireLooks, len(l.order)) {
		if len(l.order) < l.limit {
			break
		}
		oldest := l.order[0]
		l.order = l.order[1:]
		if !l.retire(oldest) {
			l.order = append(l.order, oldest)
		}
	}
	l.order = append(l.order, id)
}

// retire closes a lane if it is idle.
func (l *lanes) retire(id uuid.UUID) bool {
	v, ok := l.m.Load(id)
	if !ok {
		return true
	}
	ln := v.(*lane)
	if !ln.mu.TryLock() {
		return false
	}
	defer ln.mu.Unlock()
	if !ln.close() {
		return false
	}
	l.m.Delete(id)
	return true
}

// close marks an idle lane retired; mu is held.
func (ln *lane) close() bool {
	ln.intakeMu.Lock()
	defer ln.intakeMu.Unlock()
	ln.closed = ln.closed || len(ln.unsettled) == 0 && len(ln.queue) == 0 && !ln.draining && !ln.recovering.Load() && !ln.overflow.Known()
	return ln.closed
}

// forget makes the selected lanes read the ledger again.
func (l *lanes) forget(selected func(uuid.UUID) bool) {
	var ids []uuid.UUID
	l.m.Range(func(key, _ any) bool {
		if id := key.(uuid.UUID); selected(id) {
			ids = append(ids, id)
		}
		return true
	})
	slices.SortFunc(ids, wallet.CompareIDs)
	for _, id := range ids {
		if v, ok := l.m.Load(id); ok {
			ln := v.(*lane)
			ln.mu.Lock()
			ln.cached = false
			ln.mu.Unlock()
		}
	}
}

// KnowsWallet reports whether this replica knows that the wallet exists.
func (a *Applier) KnowsWallet(id uuid.UUID) bool {
	v, ok := a.lanes.m.Load(id)
	return ok && v.(*lane).exists.Load()
}

// NoteExists notes that the wallet exists.
func (a *Applier) NoteExists(id uuid.UUID) { a.lanes.get(id).exists.Store(true) }

// NoteState notes that the wallet exists, and how the ledger had it a moment ago. The lane
// of a wallet that this replica applies adopts that, if it has nothing better, and
// its first batch need not read it; a commit is refused if it was too old.
func (a *Applier) NoteState(w wallet.Wallet) {
	ln := a.lanes.get(w.ID)
	ln.exists.Store(true)
	if !a.AppliesWallet(w.ID) || !ln.mu.TryLock() {
		return
	}
	defer ln.mu.Unlock()
	if !ln.cached {
		ln.state, ln.cached = w.State, true
	}
}
