package applier

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// keepOne has a wallet keep one unsettled operation, so that its lane is in use.
func keepOne(l *lanes, id uuid.UUID, offset int64) {
	l.keep(wallet.Record{WalletID: id, Operations: []wallet.Operation{{ID: id}}, Receipt: wallet.Receipt{Offset: offset}}, 10, 1_000_000)
}

// inUse is lanes at their limit, none of which can be retired.
func inUse(limit int) (l *lanes, ids []uuid.UUID) {
	l = newLanes(limit)
	for i := range limit {
		ids = append(ids, uuid.New())
		keepOne(l, ids[i], int64(i))
	}
	return l, ids
}

// When nothing else can be retired, the new lane is the only idle one: retired at
// once, it would be asked for again without end.
func TestANewLaneIsNotRetiredForItself(t *testing.T) {
	for what, use := range map[string]func(l *lanes, ln *lane){
		"unsettled":  func(_ *lanes, ln *lane) { ln.unsettled = make([]unsettled, 1) },
		"overflowed": func(_ *lanes, ln *lane) { ln.overflow = wallet.Receipt{Offset: 3} },
		"waiting":    func(_ *lanes, ln *lane) { ln.queue = make([]*call, 1) },
		"locked":     func(_ *lanes, ln *lane) { ln.mu.Lock() },
	} {
		t.Run(what, func(t *testing.T) {
			l := newLanes(2)
			for range 2 {
				use(l, l.get(uuid.New()))
			}
			for range 3 {
				id := uuid.New()
				ln := l.get(id)
				if ln.closed || l.get(id) != ln {
					t.Fatal("the new lane was retired")
				}
				l.lock(id).mu.Unlock()
				l.lockIntake(id).intakeMu.Unlock()
			}
			if n := size(l); n != 3 { // the two in use and the newest
				t.Errorf("%d lanes", n)
			}
		})
	}
}

// What was looked at and is in use goes to the order's end: by that the looks of
// one new lane are counted.
func TestANewLaneBeyondTheLimitLooksAtABoundedNumber(t *testing.T) {
	const limit = 10 * retireLooks
	l, ids := inUse(limit)
	for i := range 5 {
		before := slices.Clone(l.order)
		keepOne(l, uuid.New(), int64(limit+i))
		if looked := slices.Index(before, l.order[0]); looked != retireLooks {
			t.Fatalf("new lane %d looked at %d lanes, the bound is %d", i, looked, retireLooks)
		}
	}
	if n := size(l); n != limit+5 || n != len(l.order) {
		t.Fatalf("%d lanes, %d in order", n, len(l.order))
	}
	// The looks of several come by all: none stays for ever unseen.
	last := ids[limit-1]
	l.settle(last, last)
	for range limit / retireLooks {
		keepOne(l, uuid.New(), 0)
	}
	if _, ok := l.m.Load(last); ok {
		t.Error("an idle lane was not found")
	}
}

func TestLanesShrinkToTheLimitOnceTheyAreIdle(t *testing.T) {
	const limit, more = 10, 4 * retireLooks
	l, ids := inUse(limit)
	for i := range more {
		ids = append(ids, uuid.New())
		keepOne(l, ids[limit+i], int64(limit+i))
	}
	if n := size(l); n != limit+more {
		t.Fatalf("%d lanes in use", n)
	}
	for _, id := range ids {
		l.settle(id, id)
	}
	for range more/retireLooks + 2 {
		l.get(uuid.New())
	}
	if n := size(l); n > limit || n != len(l.order) || l.unsettled.Load() != 0 {
		t.Errorf("%d lanes, %d in order, the limit is %d; %d unsettled operations", n, len(l.order), limit, l.unsettled.Load())
	}
}
