package applier_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// sim is one interleaving of a few replicas over a journal and a ledger in memory.
type sim struct {
	*schedule
	log     *simtest.Log
	ledger  *simtest.Ledger
	wallets []uuid.UUID
	members []*member
	leaving []*member
	started int
	numbers int // of operations so far

	writes  []*write           // records on their way to the journal
	late    []*straggler       // commits that were cut off and may land
	sent    []wallet.Record    // records that were ever sent, to be sent again
	happens []func()           // what may happen in this simulation
	held    map[uuid.UUID]bool // rows that somebody holds locked
	refused map[uuid.UUID]bool // wallets that SQL refuses

	told    []*simtest.Told
	answers *simtest.Told // of the direct way, to its callers
	direct  map[wallet.Key]bool
	behind  map[wallet.Key][]wallet.Key // direct operation → own acknowledged ones, which come before it
	tight   bool                        // replicas keep only a few of their acknowledged operations
	listed  map[wallet.Key]bool         // was requeued at some time
	broken  []string
}

// write is a record that a replica has handed to its producer.
type write struct {
	of        *member
	rec       wallet.Record
	landed    bool
	abandoned bool // nobody waits for its acknowledgement any more
	mute      bool // it will not be acknowledged
}

// simulate runs one simulation, in a bubble of simulated time, and returns what is
// wrong with it, and its trace.
func simulate(tape *tape, traced bool) *sim {
	s := &sim{
		schedule: &schedule{tape: tape, traced: traced}, answers: simtest.NewTold(),
		held: map[uuid.UUID]bool{}, refused: map[uuid.UUID]bool{},
		direct: map[wallet.Key]bool{}, behind: map[wallet.Key][]wallet.Key{}, listed: map[wallet.Key]bool{},
	}
	s.told = append(s.told, s.answers)
	s.faults, s.tight = s.draw(5)*8, s.draw(3) == 2
	s.begin()
	// Each simulation has its own few troubles: all at once hide each other.
	s.happens = []func(){s.pass, s.submit, s.submit, s.submit}
	for _, trouble := range []func(){s.goDirect, s.rebalance, s.replace, s.foreign, s.hold, s.refuse, s.poison, s.reconcile, s.meet, s.submit} {
		if s.draw(2) == 0 {
			s.happens = append(s.happens, trouble)
		}
	}
	for range 5 + s.draw([]int{40, 60, 160}[s.draw(3)]) {
		s.step()
	}
	s.finish()
	return s
}

// begin makes the journal, the ledger with some of the wallets, and the replicas.
// A partition may have no owner, or several.
func (s *sim) begin() {
	s.log = simtest.NewLog(1 + s.draw(2))
	s.ledger = simtest.NewLedger(s.log)
	for i := range 1 + s.draw(3) {
		id := uuid.UUID{0: walletMark, 15: byte(i)}
		s.wallets = append(s.wallets, id)
		if s.draw(4) < 3 {
			s.must(&wallet.Batch{Creates: []wallet.Creation{{ID: id, At: epoch}}})
		}
	}
	for range 1 + s.draw(3) {
		m := s.member()
		for p := range s.log.Partitions() {
			if s.draw(3) < 2 {
				m.own(int32(p))
			}
		}
	}
}

// The first bytes of ids.
const walletMark, operationMark = 0xA0, 0xB0

func (s *sim) must(b *wallet.Batch) {
	if err := s.ledger.Commit(context.Background(), b); err != nil {
		s.found("%v", err)
	}
}

func (s *sim) found(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = append(s.broken, fmt.Sprintf(format, args...))
}

// step has one actor go on, or something happen.
func (s *sim) step() {
	s.quiet()
	if ready := s.ready(); len(ready) > 0 && s.draw(10) < 7 {
		s.pick(ready[s.draw(len(ready))])
		return
	}
	s.happens[s.draw(len(s.happens))]()
}

// ready are the steps of which any may be next.
func (s *sim) ready() (steps []*step) {
	steps = s.runnable()
	for _, m := range s.members {
		steps = append(steps, m.fetches()...)
	}
	for _, w := range s.writes {
		if !s.behindAnother(w) {
			steps = append(steps, s.deliver(w))
		}
	}
	for _, c := range s.late {
		steps = append(steps, &step{what: "lands late", detail: func() string { return c.of.String() + "'s " + batchText(c.batch) }, do: c.land})
	}
	return steps
}

// deliver has a record land, or be acknowledged: those of one replica in one
// partition in the order of their offsets.
func (s *sim) deliver(w *write) *step {
	what := "lands"
	if w.landed {
		what = "is acknowledged"
	}
	return &step{what: what, detail: func() string { return w.of.String() + "'s " + recordText(w.rec) }, do: func(simtest.Fault) {
		if !w.landed {
			w.rec, w.landed = s.log.Append(w.rec), true
			if !w.mute && !w.of.dead {
				return
			}
		} else if !w.of.dead {
			w.of.acknowledge(w.rec)
		}
		s.writes = slices.DeleteFunc(s.writes, func(o *write) bool { return o == w })
	}}
}

// behindAnother reports whether an earlier acknowledgement is still to come.
func (s *sim) behindAnother(w *write) bool {
	return w.landed && slices.ContainsFunc(s.writes, func(o *write) bool {
		return o.of == w.of && o.landed && o.rec.Receipt.Partition == w.rec.Receipt.Partition && o.rec.Receipt.Offset < w.rec.Receipt.Offset
	})
}

// finish lets everything come to its end, without faults, and audits.
func (s *sim) finish() {
	s.quiet()
	s.calm = true
	clear(s.held)
	clear(s.refused)
	s.tell("no more faults")
	last := s.member()
	for p := range s.log.Partitions() {
		last.own(int32(p))
	}
	settled := s.until(s.settled)
	for _, m := range slices.Clone(s.members) {
		s.leave(m)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, m := range s.leaving {
			m.running.Wait()
		}
	}()
	isEnded := func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}
	if !s.until(isEnded) {
		s.found("a replica does not end")
		s.giveUp(ended)
	}
	audit := simtest.Audit{Log: s.log, Books: s.ledger.Books(), Direct: s.direct, Told: s.told, Settled: true}
	s.broken = append(s.broken, audit.Faults()...)
	s.overtaken(audit.Books)
	if !settled && len(s.broken) == 0 {
		s.found("it does not come to its end")
	}
}

// giveUp kills whatever still runs, so that the bubble can end.
func (s *sim) giveUp(ended <-chan struct{}) {
	s.mu.Lock()
	for _, m := range s.leaving {
		m.dead = true
	}
	s.mu.Unlock()
	s.quiet()
	time.Sleep(time.Hour)
	s.quiet()
	<-ended
}

// calmSteps bounds how long a simulation takes to come to its end.
const calmSteps = 3000

// until goes on, with time passing when nobody else can go on, until ok.
func (s *sim) until(ok func() bool) bool {
	for range calmSteps {
		s.quiet()
		switch ready := s.ready(); {
		case len(ready) > 0:
			s.pick(ready[s.draw(len(ready))])
		case ok():
			return true
		default:
			time.Sleep(20 * time.Millisecond)
		}
	}
	return false
}

func (s *sim) settled() bool { return len(s.writes) == 0 && s.ledger.Settled(s.log) }
