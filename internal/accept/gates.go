package accept

import (
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// gates bound the operations of each wallet and of the replica before anything is
// journaled. A wallet has a gate while it has operations under way, and until the next
// sweep: making it anew for each request would cost more.
type gates struct {
	maxOperations int // of one wallet
	maxWaits      int // requests of one wallet beyond which none waits
	backlog       Backlog
	now           func() time.Time
	replica       replicaGate
	shards        [shards]gateShard
}

type gateShard struct {
	mu    sync.Mutex
	gates map[uuid.UUID]*gate
	full  map[uuid.UUID]bool // wallets whose requeued list is at its bound
}

func newGates(limits Limits, backlog Backlog, now func() time.Time) *gates {
	g := &gates{maxOperations: limits.WalletOperations, maxWaits: limits.WalletWaits, backlog: backlog, now: now,
		replica: replicaGate{maxWaits: limits.Waits, backlog: backlog, gate: newGate(now(), limits.Operations, 0)}}
	for i := range g.shards {
		g.shards[i].gates = map[uuid.UUID]*gate{}
	}
	return g
}

func (g *gates) shard(id uuid.UUID) *gateShard { return &g.shards[shardOf(id)] }

// enter lets a wallet's request of n operations in. mayWait is false once too many requests
// of the wallet, or of the replica, are unanswered: who waits holds a connection, and some
// must stay free. leave has to be called when it is answered.
func (g *gates) enter(id uuid.UUID, n int) (leave func(), mayWait bool, err error) {
	now, s := g.now(), g.shard(id)
	one, mayWait, err := g.enterWallet(now, s, id, n)
	if err != nil {
		return nil, false, err
	}
	room, err := g.replica.enter(now, n)
	if err != nil {
		s.leave(one, now, n, 0)
		return nil, false, err
	}
	return func() {
		now := g.now()
		g.replica.leave(now, n, n)
		s.leave(one, now, n, n)
	}, mayWait && room, nil
}

func (g *gates) enterWallet(now time.Time, s *gateShard, id uuid.UUID, n int) (one *gate, mayWait bool, err error) {
	countFrom := g.replica.countsFrom()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full[id] {
		return nil, false, overloaded("the wallet is set aside, and too many of its operations wait", retrySoon)
	}
	unsettled, outcomes := g.backlog.Unsettled(id, countFrom)
	one = s.gates[id]
	if one == nil {
		made := newGate(now, g.maxOperations, outcomes)
		one = &made
		s.gates[id] = one
	}
	if again := one.enter(now, n, load{unsettled, outcomes}); again > 0 {
		return nil, false, overloaded(fmt.Sprintf("%d operations of this wallet wait", max(one.unanswered, unsettled)), again)
	}
	return one, one.unansweredRequests <= g.maxWaits, nil
}

func (s *gateShard) leave(one *gate, now time.Time, n, answered int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.leave(now, n, answered)
}

// enterCreation lets a request in that makes a wallet.
func (g *gates) enterCreation() (leave func(), mayWait bool, err error) {
	mayWait, err = g.replica.enter(g.now(), 1)
	return func() { g.replica.leave(g.now(), 1, 1) }, mayWait, err
}

// sweep forgets gates that have nothing under way.
func (g *gates) sweep() {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		for id, one := range s.gates {
			if unsettled, _ := g.backlog.Unsettled(id, time.Time{}); unsettled == 0 && one.unanswered == 0 {
				delete(s.gates, id)
			}
		}
		s.mu.Unlock()
	}
}

// setFull replaces the wallets whose requeued list is at its bound.
func (g *gates) setFull(ids []uuid.UUID) {
	full := map[*gateShard]map[uuid.UUID]bool{}
	for _, id := range ids {
		s := g.shard(id)
		if full[s] == nil {
			full[s] = map[uuid.UUID]bool{}
		}
		full[s][id] = true
	}
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		s.full = full[s]
		s.mu.Unlock()
	}
}
