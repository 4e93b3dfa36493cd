package accept

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// waiter is a request that waits for the outcome of its operation.
type waiter struct {
	op    wallet.Operation
	since time.Time
	done  chan wallet.Operation // holds one

	mu      sync.Mutex
	receipt wallet.Receipt
}

func (w *waiter) journaled(r wallet.Receipt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.receipt = r
}

func (w *waiter) place() wallet.Receipt {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.receipt
}

// waiters are all requests of this replica that wait, by operation. Requests with
// one idempotency key wait for the same operation.
type waiters struct {
	now    func() time.Time
	turn   atomic.Uint32
	shards [64]waiterShard
}

type waiterShard struct {
	mu      sync.Mutex
	waiting map[uuid.UUID][]*waiter
}

func newWaiters(now func() time.Time) *waiters {
	ws := &waiters{now: now}
	for i := range ws.shards {
		ws.shards[i].waiting = map[uuid.UUID][]*waiter{}
	}
	return ws
}

func (ws *waiters) shard(id uuid.UUID) *waiterShard { return &ws.shards[id[15]%64] }

func (ws *waiters) add(op wallet.Operation) *waiter {
	w := &waiter{op: op, since: ws.now(), done: make(chan wallet.Operation, 1), receipt: wallet.NoReceipt}
	s := ws.shard(op.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[op.ID] = append(s.waiting[op.ID], w)
	return w
}

func (ws *waiters) remove(w *waiter) {
	s := ws.shard(w.op.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.waiting[w.op.ID]
	for i := range rest {
		if rest[i] == w {
			rest = append(rest[:i:i], rest[i+1:]...)
			break
		}
	}
	if len(rest) == 0 {
		delete(s.waiting, w.op.ID)
	} else {
		s.waiting[w.op.ID] = rest
	}
}

// settle hands an outcome to whoever waits for it.
func (ws *waiters) settle(op *wallet.Operation) {
	s := ws.shard(op.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.waiting[op.ID] {
		if w.op.WalletID != op.WalletID {
			continue
		}
		select {
		case w.done <- *op:
		default: // has it already
		}
	}
}

// overdue returns the operations, at most n, that were waited for since before
// the given time and match.
func (ws *waiters) overdue(before time.Time, n int, match func(*waiter) bool) []wallet.Key {
	var keys []wallet.Key
	first := int(ws.turn.Add(1)) // those that stay without an outcome must not keep others from theirs
	for i := range ws.shards {
		s := &ws.shards[(first+i)%len(ws.shards)]
		s.mu.Lock()
		for _, list := range s.waiting {
			due := func(w *waiter) bool { return w.since.Before(before) && match(w) }
			if i := slices.IndexFunc(list, due); i >= 0 && len(keys) < n {
				keys = append(keys, list[i].op.Key())
			}
		}
		s.mu.Unlock()
	}
	return keys
}
