package accept

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// waiter is a request that waits for the outcomes of its operations: one, or as
// many as a bulk has.
type waiter struct {
	since    time.Time
	ops      []wallet.Operation // as they were asked for
	awaited  []awaitedOutcome
	outcomes []wallet.Outcome // the request may read them after remove
	open     atomic.Int64     // outcomes that are not known yet
	woken    chan struct{}    // receives once when waiting is over: all outcomes are known, or there is a reason to stop
	answered sync.WaitGroup   // of the journal's answer; receipt and err do not change after it

	mu      sync.Mutex
	receipt wallet.Receipt
	err     error
}

// awaitedOutcome is where one outcome of a request belongs. The mutex of its shard guards
// it and that outcome.
type awaitedOutcome struct {
	of    *waiter
	at    int // in of.ops and of.outcomes
	first int // that of the request's first operation with this id: at, unless this is a repeat
	known bool
	next  *awaitedOutcome // another that waits for the same operation
}

// journaled takes the journal's answer. A success wakes nobody who waits for an
// outcome: one wake-up for a request is enough.
func (w *waiter) journaled(r wallet.Receipt, err error) {
	w.mu.Lock()
	w.receipt, w.err = r, err
	w.mu.Unlock()
	w.answered.Done()
	if err != nil {
		w.wake()
	}
}

func (w *waiter) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

func (w *waiter) place() wallet.Receipt {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.receipt
}

// isElsewhere reports whether the request's record is known to be another than that of
// the receipt.
func (w *waiter) isElsewhere(r wallet.Receipt) bool {
	own := w.place()
	return own.Known() && r.Known() && own != r
}

// waiters are all requests of this replica that wait, by operation. Requests with
// one idempotency key wait for the same operation, and so do a request's items.
type waiters struct {
	now        func() time.Time
	firstShard atomic.Uint32
	shards     [shards]waiterShard
}

type waiterShard struct {
	mu      sync.Mutex
	waiting map[wallet.Key]*awaitedOutcome
}

func newWaiters(now func() time.Time) *waiters {
	ws := &waiters{now: now}
	for i := range ws.shards {
		ws.shards[i].waiting = map[wallet.Key]*awaitedOutcome{}
	}
	return ws
}

func (ws *waiters) shard(id uuid.UUID) *waiterShard { return &ws.shards[shardOf(id)] }

// shards is over how many mutexes what is kept by wallet is spread.
const shards = 64

func shardOf(id uuid.UUID) int { return int(id[15]) % shards }

// add has a request wait for its operations, in their order.
func (ws *waiters) add(ops ...wallet.Operation) *waiter {
	w := &waiter{
		since: ws.now(), ops: ops, woken: make(chan struct{}, 1), receipt: wallet.NoReceipt,
		awaited: make([]awaitedOutcome, len(ops)), outcomes: make([]wallet.Outcome, len(ops)),
	}
	w.answered.Add(1)
	w.open.Store(int64(len(ops)))
	for i := range ops {
		ws.put(&w.awaited[i], w, i)
	}
	return w
}

func (ws *waiters) put(p *awaitedOutcome, w *waiter, at int) {
	key, s := w.ops[at].Key(), ws.shard(w.ops[at].ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	*p = awaitedOutcome{of: w, at: at, first: at, next: s.waiting[key]}
	for q := p.next; q != nil; q = q.next {
		if q.of == w {
			p.first = q.first
		}
	}
	s.waiting[key] = p
}

// firsts returns the request's operations, each id once.
func (w *waiter) firsts() []wallet.Operation {
	i := 0
	for i < len(w.ops) && w.awaited[i].first == i {
		i++
	}
	once := w.ops[:i:i]
	for ; i < len(w.ops); i++ {
		if w.awaited[i].first == i {
			once = append(once, w.ops[i])
		}
	}
	return once
}

// pendUnknown makes the outcomes that are not known PENDING.
func (w *waiter) pendUnknown() {
	for i := range w.awaited {
		if !w.awaited[i].known {
			w.pend(i)
		}
	}
}

// pendAll makes all outcomes PENDING, the known ones too: a request that did not want to
// wait is answered alike, whatever has come meanwhile.
func (w *waiter) pendAll() {
	for i := range w.awaited {
		w.pend(i)
	}
}

// pend makes an outcome PENDING, with its record's receipt. Call it after remove. An item that
// contradicts an earlier one with the same key is PENDING too, not refused: it may agree with
// an operation that had the key before both.
func (w *waiter) pend(i int) {
	first := w.awaited[i].first
	w.outcomes[i] = wallet.Outcome{Operation: w.ops[i], Replayed: first != i && w.ops[i].SameRequest(w.ops[first])}
	w.outcomes[i].Operation.Receipt = w.receipt
}

// remove ends the waiting: nobody touches the request's outcomes any more.
func (ws *waiters) remove(w *waiter) {
	if w.open.Load() == 0 {
		return
	}
	for i := range w.awaited {
		s := ws.shard(w.ops[i].ID)
		s.mu.Lock()
		if p := &w.awaited[i]; !p.known {
			s.unlink(w.ops[i].Key(), p)
		}
		s.mu.Unlock()
	}
	w.open.Store(0)
}

func (s *waiterShard) unlink(key wallet.Key, p *awaitedOutcome) {
	head := s.waiting[key]
	switch {
	case head != p:
		for head.next != p {
			head = head.next
		}
		head.next = p.next
	case p.next != nil:
		s.waiting[key] = p.next
	default:
		delete(s.waiting, key)
	}
}

// complete hands an outcome to whoever waits for it.
func (ws *waiters) complete(op *wallet.Operation) {
	key, s := op.Key(), ws.shard(op.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.waiting[key]
	if p == nil {
		return
	}
	delete(s.waiting, key)
	for p != nil {
		next := p.next
		p.complete(op)
		p = next
	}
}

func (p *awaitedOutcome) complete(done *wallet.Operation) {
	w := p.of
	p.known = true
	w.outcomes[p.at] = resolve(&w.ops[p.at], done, p.first != p.at || w.isElsewhere(done.Receipt))
	if w.open.Add(-1) == 0 {
		w.wake()
	}
}

// wakeAll ends the waiting for outcomes of all requests that are there.
func (ws *waiters) wakeAll() {
	for i := range ws.shards {
		s := &ws.shards[i]
		s.mu.Lock()
		for _, p := range s.waiting {
			for ; p != nil; p = p.next {
				p.of.wake()
			}
		}
		s.mu.Unlock()
	}
}

// overdue returns the operations, at most n, that were waited for since before
// the given time and match.
func (ws *waiters) overdue(before time.Time, n int, match func(*waiter) bool) []wallet.Key {
	var keys []wallet.Key
	first := int(ws.firstShard.Add(1)) // elsewhere each time: those that stay without an outcome must not fill every look
	for i := range ws.shards {
		s := &ws.shards[(first+i)%len(ws.shards)]
		s.mu.Lock()
		for key, p := range s.waiting {
			for p != nil && (!p.of.since.Before(before) || !match(p.of)) {
				p = p.next
			}
			if p != nil && len(keys) < n {
				keys = append(keys, key)
			}
		}
		s.mu.Unlock()
	}
	return keys
}
