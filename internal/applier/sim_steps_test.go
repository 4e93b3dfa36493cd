package applier_test

import (
	"fmt"
	"slices"
	"sync"
	"testing/synctest"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier/simtest"
)

// step is what an actor is about to do. Its goroutine is parked until the scheduler
// picks it; a step without a goroutine (a fetch, a record that lands) is only done.
type step struct {
	of     *member // nil: the journal's
	what   string
	about  int             // partition or wallet, for the order among steps
	detail func() string   // nil: nothing more to say
	ready  func() bool     // nil: always
	faults []simtest.Fault // with which it may end
	do     func(simtest.Fault)
	done   chan struct{}
}

// schedule decides who goes on. Everything that the applier's goroutines do between
// two steps touches nothing that another of them uses meanwhile; so the choices,
// with the fake clock, decide all that happens.
type schedule struct {
	*tape
	mu     sync.Mutex
	parked []*step
	trace  []string
	traced bool
	steps  int
	calm   bool // no more faults: everything has to come to its end
	faults int  // per cent of the calls that end in one
}

// park waits until the scheduler has done the step. What a dead replica does
// reaches nobody, except for its lanes.
func (s *schedule) park(st *step) {
	s.mu.Lock()
	if st.of.dead && st.ready == nil {
		s.mu.Unlock()
		st.do(simtest.CutOff)
		return
	}
	st.done = make(chan struct{})
	s.parked = append(s.parked, st)
	s.mu.Unlock()
	<-st.done
}

func (s *schedule) take(st *step, f simtest.Fault) {
	s.mu.Lock()
	if i := slices.Index(s.parked, st); i >= 0 {
		s.parked = slices.Delete(s.parked, i, i+1)
	}
	s.mu.Unlock()
	st.do(f)
	if !st.silent() {
		s.note(st, f)
	}
	if st.done != nil {
		close(st.done)
	}
}

func (st *step) silent() bool { return st.of != nil && st.of.dead }

// quiet waits until every goroutine is parked or blocked. The dead go on by
// themselves: theirs are steps that nobody sees.
func (s *schedule) quiet() {
	for {
		synctest.Wait()
		of := s.runnable()
		i := slices.IndexFunc(of, (*step).silent)
		if i < 0 {
			return
		}
		s.take(of[i], simtest.CutOff)
	}
}

// runnable are the parked steps that can be next, in an order of their own.
func (s *schedule) runnable() (steps []*step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.parked {
		if st.ready == nil || st.ready() {
			steps = append(steps, st)
		}
	}
	slices.SortStableFunc(steps, compareSteps)
	return steps
}

func compareSteps(a, b *step) int {
	switch {
	case a.of.n != b.of.n:
		return a.of.n - b.of.n
	case a.what != b.what:
		if a.what < b.what {
			return -1
		}
		return 1
	}
	return a.about - b.about
}

func (s *schedule) pick(st *step) {
	f := simtest.None
	if !s.calm && len(st.faults) > 0 && s.chance(s.faults) {
		f = st.faults[s.draw(len(st.faults))]
	}
	s.take(st, f)
}

// faultNames is how a trace tells them.
var faultNames = [...]string{"", ": fenced", ": conflict", ": serialization failure", ": locked", ": refused", ": not done, answer lost", ": done, answer lost"}

func (s *schedule) note(st *step, f simtest.Fault) {
	s.steps++
	if !s.traced {
		return
	}
	who, detail := "journal", ""
	if st.of != nil {
		who = st.of.String()
	}
	if st.detail != nil {
		detail = " " + st.detail()
	}
	s.tell("%s %s%s%s", who, st.what, detail, faultNames[f])
}

// tell adds a line to the trace.
func (s *schedule) tell(format string, args ...any) {
	if s.traced {
		s.trace = append(s.trace, fmt.Sprintf("%3d ", s.steps)+fmt.Sprintf(format, args...))
	}
}

// laneLock is a lane's mutex: who waits for it is a step, and the scheduler decides
// which of them goes on once it is free.
type laneLock struct {
	s       *sim
	of      *member
	wallet  uuid.UUID
	held    bool
	waiting int
}

// Lock implements sync.Locker.
func (l *laneLock) Lock() {
	l.s.mu.Lock()
	if !l.held && l.waiting == 0 {
		l.held = true
		l.s.mu.Unlock()
		return
	}
	l.waiting++
	l.s.mu.Unlock()
	l.s.park(&step{
		of: l.of, what: "gets lane", about: walletNumber(l.wallet), detail: func() string { return walletName(l.wallet) },
		ready: func() bool { return !l.held },
		do:    func(simtest.Fault) { l.s.mu.Lock(); defer l.s.mu.Unlock(); l.held, l.waiting = true, l.waiting-1 },
	})
}

// TryLock takes the lane if it is free.
func (l *laneLock) TryLock() bool {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	free := !l.held && l.waiting == 0
	l.held = l.held || free
	return free
}

// Unlock implements sync.Locker.
func (l *laneLock) Unlock() {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.held = false
}
