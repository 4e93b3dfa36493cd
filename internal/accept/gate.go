package accept

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// gates bound the unanswered operations, of each wallet and of the replica, before
// anything is journaled. A wallet has a gate only while it has unanswered ones. A
// request of many enters whole, and always where nothing else is unanswered: else
// one that is above the bound could never be.
type gates struct {
	limits Limits
	now    func() time.Time
	total  atomic.Int64
	shards [64]gateShard
}

type gateShard struct {
	mu    sync.Mutex
	gates map[uuid.UUID]*gate
	full  map[uuid.UUID]bool // wallets whose requeued list is at its bound
}

// gate is one wallet's operations, and how fast they are answered: counted over the
// present window and the one before, since the answers of one commit come together.
type gate struct {
	waiting  int
	before   time.Time // began the window before
	earlier  int       // answered in it
	began    time.Time // of the present window
	answered int       // in it
}

// rateWindow is how long answers are counted, at least, for the drain rate.
const rateWindow = time.Second

func newGates(limits Limits, now func() time.Time) *gates {
	g := &gates{limits: limits, now: now}
	for i := range g.shards {
		g.shards[i].gates = map[uuid.UUID]*gate{}
	}
	return g
}

func (g *gates) shard(id uuid.UUID) *gateShard { return &g.shards[id[15]%64] }

// enter lets a wallet's request of n operations in; leave has to be called when it
// is answered.
func (g *gates) enter(id uuid.UUID, n int) (leave func(), err error) {
	out, err := g.enterReplica(n)
	if err != nil {
		return nil, err
	}
	s := g.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.gates[id]
	switch {
	case s.full[id]:
		out()
		return nil, overloaded("the wallet is set aside, and too many of its operations wait", retrySoon)
	case w == nil:
		now := g.now()
		w = &gate{before: now, began: now}
		s.gates[id] = w
	case w.waiting+n > g.limits.WalletRequests:
		out()
		return nil, overloaded(fmt.Sprintf("%d operations of this wallet wait for their answer", w.waiting), w.drained(g.now()))
	}
	w.waiting += n
	return func() { g.leave(s, id, w, n); out() }, nil
}

// enterReplica lets a request of n operations in that belongs to no wallet yet.
func (g *gates) enterReplica(n int) (leave func(), err error) {
	count := int64(n)
	if total := g.total.Add(count); total > max(count, int64(g.limits.Requests)) {
		g.total.Add(-count)
		return nil, overloaded("too many operations wait for their answer", time.Second)
	}
	return func() { g.total.Add(-count) }, nil
}

func (g *gates) leave(s *gateShard, id uuid.UUID, w *gate, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.answered += n
	if now := g.now(); now.Sub(w.began) >= rateWindow {
		w.before, w.earlier = w.began, w.answered
		w.began, w.answered = now, 0
	}
	if w.waiting -= n; w.waiting == 0 {
		delete(s.gates, id)
	}
}

// drained is when those that wait will have been answered, at the rate of late.
func (w *gate) drained(now time.Time) time.Duration {
	answered, d := w.earlier+w.answered, now.Sub(w.before).Seconds()
	if answered == 0 || d <= 0 {
		return retrySoon
	}
	return time.Duration(math.Ceil(float64(w.waiting)*d/float64(answered))) * time.Second
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
