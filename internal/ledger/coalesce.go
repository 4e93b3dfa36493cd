package ledger

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/walletd/walletd/internal/wallet"
)

// maxCoalesced bounds the look-ups of one statement; the rest is for the next.
const maxCoalesced = 500

// coalescer joins look-ups that many requests make one by one at the same time. One
// statement answers all that have come while the last one was under way: each alone would
// cost as much as all of them, and a second statement would halve what they share.
type coalescer[K comparable, V any] struct {
	read func([]K) (map[K]V, error) // one statement; what it does not find it leaves out

	mu       sync.Mutex
	inFlight bool // a statement
	waiting  []*lookup[K, V]
}

// lookup is one request's.
type lookup[K comparable, V any] struct {
	key   K
	reply chan reply[V]
}

type reply[V any] struct {
	value V
	found bool
	err   error
}

// get returns what a statement has read that began after get was called. A statement's
// error goes to all who share it, but for a refusal, which may be of one key only: then
// halves are read, until it is alone.
func (c *coalescer[K, V]) get(ctx context.Context, key K) (value V, found bool, err error) {
	l := &lookup[K, V]{key: key, reply: make(chan reply[V], 1)}
	if c.enter(l) {
		go c.serve() // no longer than something waits
	}
	select {
	case r := <-l.reply:
		return r.value, r.found, r.err
	case <-ctx.Done():
		return value, false, fmt.Errorf("%w: %w", wallet.ErrUnavailable, ctx.Err())
	}
}

// enter queues a look-up and reports whether nobody serves: then the caller starts that.
func (c *coalescer[K, V]) enter(l *lookup[K, V]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, l)
	if c.inFlight {
		return false
	}
	c.inFlight = true
	return true
}

// take returns what to look up next; nil: nothing, and serve ends.
func (c *coalescer[K, V]) take() []*lookup[K, V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting), maxCoalesced)
	if n == 0 {
		c.inFlight = false
		return nil
	}
	batch := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	return batch
}

// serve looks up what waits until nothing does. Requests come in bursts, when a commit
// has answered those before: the first one yields, so that the others join its statement.
func (c *coalescer[K, V]) serve() {
	runtime.Gosched()
	for batch := c.take(); batch != nil; batch = c.take() {
		c.answer(batch)
	}
}

func (c *coalescer[K, V]) answer(batch []*lookup[K, V]) {
	keys := make([]K, len(batch))
	for i, l := range batch {
		keys[i] = l.key
	}
	values, err := c.read(keys)
	if errors.Is(err, wallet.ErrRefused) && len(batch) > 1 {
		half := len(batch) / 2
		c.answer(batch[:half])
		c.answer(batch[half:])
		return
	}
	for _, l := range batch {
		value, found := values[l.key]
		l.reply <- reply[V]{value, found, err}
	}
}
