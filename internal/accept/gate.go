package accept

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Backlog is what this replica has accepted and knows no outcome of.
type Backlog interface {
	// Unsettled returns how many operations of the wallet, of those accepted at since
	// or later, wait for their outcome, and how many ever had one.
	Unsettled(id uuid.UUID, since time.Time) (waiting int, settled int64)
	// UnsettledInAll is the same of all wallets, whenever accepted, without what the
	// ledger keeps on the lists of wallets that are set aside.
	UnsettledInAll() (waiting int, settled int64)
}

// gates bound the operations of each wallet and of the replica before anything is
// journaled: those of requests that are not answered, which hold memory here, and
// those without an outcome, whether they were answered 202 or not, which the ledger
// still has to take. What was accepted while the ledger was down is forgiven: that
// wait has no bound. A wallet has a gate while it has such operations, and until the
// next sweep: making it anew for each request would cost more. A request
// of many enters whole, and always where there is nothing else: else one that is above
// the bound could never.
type gates struct {
	limits  Limits
	backlog Backlog
	now     func() time.Time

	mu       sync.Mutex
	all      gate
	since    time.Time // operations from then on count
	forgiven int64     // of the outcomes in all, up to which those are that do not count

	shards [64]gateShard
}

type gateShard struct {
	mu    sync.Mutex
	gates map[uuid.UUID]*gate
	full  map[uuid.UUID]bool // wallets whose requeued list is at its bound
}

// gate is what one wallet, or the replica, has under way.
type gate struct {
	waiting  int       // operations of requests that are not answered yet
	answered pace      // of these
	settled  pace      // outcomes
	ever     int64     // outcomes, by the last look
	due      time.Time // when there will have been room for all who were refused
}

// retryMost bounds Retry-After: who is told it comes too early rather than never.
const retryMost = time.Minute

// turnHaste is the part of the pace at which those who were refused are told to come
// back: some of the room goes to others, who come for the first time.
const turnHaste = 0.75

func newGates(limits Limits, backlog Backlog, now func() time.Time) *gates {
	g := &gates{limits: limits, backlog: backlog, now: now, all: *newGate(now(), 0)}
	for i := range g.shards {
		g.shards[i].gates = map[uuid.UUID]*gate{}
	}
	return g
}

func newGate(now time.Time, ever int64) *gate {
	return &gate{answered: newPace(now), settled: newPace(now), ever: ever}
}

func (g *gates) shard(id uuid.UUID) *gateShard { return &g.shards[id[15]%64] }

// enter lets a wallet's request of n operations in; leave has to be called when it
// is answered.
func (g *gates) enter(id uuid.UUID, n int) (leave func(), err error) {
	now := g.now()
	since, err := g.enterAll(now, n)
	if err != nil {
		return nil, err
	}
	s := g.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full[id] {
		g.leaveAll(now, n, 0)
		return nil, overloaded("the wallet is set aside, and too many of its operations wait", retrySoon)
	}
	unsettled, ever := g.backlog.Unsettled(id, since)
	w := s.gates[id]
	if w == nil {
		w = newGate(now, ever)
		s.gates[id] = w
	}
	if again := w.enter(now, n, g.limits.WalletRequests, unsettled, ever); again > 0 {
		g.leaveAll(now, n, 0)
		return nil, overloaded(fmt.Sprintf("%d operations of this wallet wait", max(w.waiting, unsettled)), again)
	}
	return func() { g.leave(s, w, n) }, nil
}

// enterReplica lets a request of n operations in that belongs to no wallet yet.
func (g *gates) enterReplica(n int) (leave func(), err error) {
	if _, err := g.enterAll(g.now(), n); err != nil {
		return nil, err
	}
	return func() { g.leaveAll(g.now(), n, n) }, nil
}

// enterAll returns since when operations count.
func (g *gates) enterAll(now time.Time, n int) (since time.Time, err error) {
	unsettled, ever := g.backlog.UnsettledInAll()
	g.mu.Lock()
	defer g.mu.Unlock()
	again := g.all.enter(now, n, g.limits.Requests, max(0, unsettled-int(max(0, g.forgiven-ever))), ever)
	if again > 0 {
		return since, overloaded("too many operations wait", again)
	}
	return g.since, nil
}

func (g *gates) leaveAll(now time.Time, n, answered int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all.waiting -= n
	g.all.answered.add(now, answered)
}

func (g *gates) leave(s *gateShard, w *gate, n int) {
	now := g.now()
	g.leaveAll(now, n, n)
	s.mu.Lock()
	defer s.mu.Unlock()
	w.answered.add(now, n)
	w.waiting -= n
}

// sweep forgets gates that have nothing under way.
func (g *gates) sweep() {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		for id, w := range s.gates {
			if unsettled, _ := g.backlog.Unsettled(id, time.Time{}); unsettled == 0 && w.waiting == 0 {
				delete(s.gates, id)
			}
		}
		s.mu.Unlock()
	}
}

// forgive has what was accepted before not count: the ledger is down. It is settled
// before what is accepted later, as a rule.
func (g *gates) forgive(before time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	unsettled, ever := g.backlog.UnsettledInAll()
	g.since, g.forgiven = before, ever+int64(unsettled)
}

// enter lets n more in, or says when to come again.
func (w *gate) enter(now time.Time, n, most, unsettled int, ever int64) (again time.Duration) {
	w.settled.add(now, int(max(0, ever-w.ever)))
	w.ever = ever
	switch {
	case w.waiting > 0 && w.waiting+n > most:
		return w.turn(now, n, w.waiting+n-most, &w.answered)
	case unsettled > 0 && unsettled+n > most:
		return w.turn(now, n, unsettled+n-most, &w.settled)
	case max(w.waiting, unsettled)+n <= most/2:
		w.due = time.Time{} // those who were refused do not come back
	}
	w.waiting += n
	return 0
}

// turn is when there will be room for n more, beginning with the excess, after all
// who were refused before: if they come when they were told, each finds room. It is
// in whole seconds, as Retry-After says it.
func (w *gate) turn(now time.Time, n, excess int, p *pace) time.Duration {
	rate := p.perSecond(now)
	if rate == 0 { // nothing to go by but how long it has been so
		return min(retryMost, max(retrySoon, now.Sub(p.began).Round(time.Second)))
	}
	room := now.Add(during(excess, rate))
	if turn := w.due.Add(during(n, rate*turnHaste)); turn.After(room) {
		room = turn
	}
	again := min(retryMost, room.Sub(now))
	w.due = now.Add(again)
	return time.Duration(math.Ceil(again.Seconds())) * time.Second
}

// during is how long n take, bounded for what is as good as never.
func during(n int, rate float64) time.Duration {
	return time.Duration(min(float64(n)/rate, 2*retryMost.Seconds()) * float64(time.Second))
}

func overloaded(detail string, retry time.Duration) error {
	return &wallet.Error{Code: wallet.CodeOverloaded, Fate: wallet.NotApplied, Detail: detail, RetryAfter: max(retry, time.Second)}
}

// setFull replaces the wallets whose requeued list is at its bound.
func (g *gates) setFull(ids []uuid.UUID) {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		s.full = nil
		for _, id := range ids {
			if g.shard(id) == s {
				if s.full == nil {
					s.full = map[uuid.UUID]bool{}
				}
				s.full[id] = true
			}
		}
		s.mu.Unlock()
	}
}
