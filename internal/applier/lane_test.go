package applier

import (
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

func size(l *lanes) (n int) {
	l.m.Range(func(any, any) bool { n++; return true })
	return n
}

func TestLanesAreBounded(t *testing.T) {
	l := newLanes(10)
	for range 1000 {
		l.lock(uuid.New()).mu.Unlock()
		if n := size(l); n > 10 {
			t.Fatalf("%d lanes, the bound is 10", n)
		}
	}
	if n := size(l); n != len(l.order) {
		t.Fatalf("%d lanes, %d in order", n, len(l.order))
	}
}

// A lane that is in use is never retired: two lanes of one wallet would not
// exclude each other.
func TestALaneInUseIsNotRetired(t *testing.T) {
	for what, use := range map[string]func(ln *lane) (release func()){
		"locked":             func(ln *lane) func() { ln.mu.Lock(); return ln.mu.Unlock },
		"unsettled":          func(ln *lane) func() { ln.unsettled = make([]unsettled, 1); return func() {} },
		"waiting":            func(ln *lane) func() { ln.queue = make([]*call, 1); return func() {} },
		"served":             func(ln *lane) func() { ln.draining = true; return func() {} },
		"overflowed":         func(ln *lane) func() { ln.overflow = wallet.Receipt{Offset: 7}; return func() {} },
		"overflowed by zero": func(ln *lane) func() { ln.overflow = wallet.Receipt{Offset: 0}; return func() {} },
	} {
		t.Run(what, func(t *testing.T) {
			l, id := newLanes(2), uuid.New()
			ln := l.get(id)
			defer use(ln)()
			for range 100 {
				l.lock(uuid.New()).mu.Unlock()
			}
			if l.get(id) != ln || ln.closed {
				t.Fatal("it was retired")
			}
		})
	}
}

func TestARetiredLaneIsNotUsed(t *testing.T) {
	l, id := newLanes(1), uuid.New()
	old := l.get(id)
	l.lock(uuid.New()).mu.Unlock()
	if !old.closed {
		t.Fatal("it was not retired")
	}
	locked := l.lock(id)
	locked.mu.Unlock()
	accepting := l.lockIntake(id)
	accepting.intakeMu.Unlock()
	if locked == old || locked != accepting {
		t.Fatal("the retired lane is used")
	}
}

// With every lane in use there is nothing to retire; the bound is passed, and a
// new wallet still gets its lane.
func TestANewWalletGetsALaneThoughAllAreInUse(t *testing.T) {
	l := newLanes(3)
	for i := range 10 {
		l.keep(wallet.Record{WalletID: uuid.New(), Operations: make([]wallet.Operation, 1), Receipt: wallet.Receipt{Offset: int64(i)}}, 5, 100)
	}
	if n := size(l); n != 10 || l.unsettled.Load() != 10 {
		t.Fatalf("%d lanes, %d unsettled operations", n, l.unsettled.Load())
	}
}

// The counter is guarded by the lane's mutex alone: the race detector, and a wrong
// sum, show two lanes of one wallet in use at once.
func TestOneWalletIsLockedByOneAtATimeWhileLanesComeAndGo(t *testing.T) {
	l, ids := newLanes(2), make([]uuid.UUID, 8)
	for i := range ids {
		ids[i] = uuid.New()
	}
	counters := make([]int, len(ids))
	var all sync.WaitGroup
	const each = 500
	for range 4 {
		all.Go(func() {
			for n := range each {
				i := n % len(ids)
				ln := l.lock(ids[i])
				counters[i]++
				ln.mu.Unlock()
				l.lockIntake(ids[(i+3)%len(ids)]).intakeMu.Unlock()
			}
		})
	}
	all.Wait()
	sum := 0
	for _, n := range counters {
		sum += n
	}
	if sum != 4*each {
		t.Fatalf("counted %d of %d", sum, 4*each)
	}
}

// Everybody who locks several lanes does so in one order: otherwise this ends in a
// deadlock.
func TestManyLanesAreLockedInOneOrder(t *testing.T) {
	l := newLanes(100)
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	orders := [][]uuid.UUID{{a, b, c}, {c, b, a}, {b, a, c}, {c, a, b}}
	var all sync.WaitGroup
	for _, order := range orders {
		all.Go(func() {
			for range 300 {
				for _, ln := range l.lockAll(append([]uuid.UUID(nil), order...)) {
					ln.mu.Unlock()
				}
			}
		})
	}
	all.Wait()
}

func TestForgettingMakesALaneReadAgainAndKeepsThatItsWalletExists(t *testing.T) {
	l, mine, other := newLanes(10), uuid.New(), uuid.New()
	for _, id := range []uuid.UUID{mine, other} {
		ln := l.get(id)
		ln.cached = true
		ln.exists.Store(true)
	}
	l.forget(func(id uuid.UUID) bool { return id == mine })
	if l.get(mine).cached || !l.get(other).cached || !l.get(mine).exists.Load() {
		t.Fatal("forgotten too much, or too little")
	}
}
