//go:build chaos

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

const (
	tryTimeout    = 5 * time.Second        // of one request, before it is tried at another replica
	giveUp        = 60 * time.Second       // of one request with all its tries
	checkInterval = time.Second            // between a balancer's looks at a replica
	checkTimeout  = 2 * time.Second        // of one look
	checkFall     = 2                      // looks that fail before a replica is left out
	retryPause    = 100 * time.Millisecond // when every replica was tried
)

// balancer sends requests to replicas as deploy/haproxy does: in turn to those that
// say that they are ready, and what was refused, cut off or not answered in time once
// more to another, with its key.
type balancer struct {
	replicas []*replica
	out      []atomic.Bool
	pending  []atomic.Int64 // requests under way at each
	refused  atomic.Int64
	reset    atomic.Int64
	timeout  atomic.Int64
}

func newBalancer(t testing.TB, replicas []*replica) *balancer {
	b := &balancer{replicas: replicas, out: make([]atomic.Bool, len(replicas)), pending: make([]atomic.Int64, len(replicas))}
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	for i := range replicas {
		watching.Go(func() { b.watch(ctx, i) })
	}
	t.Cleanup(func() { cancel(); watching.Wait() })
	return b
}

func (b *balancer) watch(ctx context.Context, i int) {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for failed := 0; ; {
		looking, cancel := context.WithTimeout(ctx, checkTimeout)
		a := b.replicas[i].doCtx(looking, http.MethodGet, "/readyz", nil)
		cancel()
		if failed++; a.err == nil && a.code == http.StatusOK {
			failed = 0
		}
		b.out[i].Store(failed >= checkFall)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// pick returns the replica whose turn it is among those that are ready; any if none is.
func (b *balancer) pick(turn int) int {
	for i := range b.replicas {
		if at := (turn + i) % len(b.replicas); !b.out[at].Load() {
			return at
		}
	}
	return turn % len(b.replicas)
}

// send has s answered, by as many replicas as it takes.
func (b *balancer) send(s *send, turn int, headers ...string) {
	s.sent = time.Now()
	for !b.try(s, turn, headers...) && s.end.Sub(s.sent) < giveUp {
		turn++
		if s.repeats++; s.repeats%len(b.replicas) == 0 {
			elapse(retryPause)
		}
	}
}

// try sends s once and says whether there was an answer.
func (b *balancer) try(s *send, turn int, headers ...string) bool {
	at := b.pick(turn)
	s.by = b.replicas[at].incarnation()
	b.pending[at].Add(1)
	defer b.pending[at].Add(-1)
	ctx, cancel := context.WithTimeout(context.Background(), tryTimeout)
	defer cancel()
	headers = append(headers, "Idempotency-Key", s.key)
	s.answer = b.replicas[at].doCtx(ctx, http.MethodPost, "/api/v1/wallet", submission(s.wallet, s.kind, s.amount), headers...)
	s.end = time.Now()
	if s.answer.err != nil {
		b.count(s.answer.err)
	}
	return s.answer.err == nil
}

// forget begins to count anew.
func (b *balancer) forget() {
	for _, n := range []*atomic.Int64{&b.refused, &b.reset, &b.timeout} {
		n.Store(0)
	}
}

func (b *balancer) count(err error) {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		b.refused.Add(1)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		b.reset.Add(1)
	default:
		b.timeout.Add(1)
	}
}

// storm is an open loop: most requests go to one wallet, the others to many.
type storm struct {
	*balancer
	*onlookers
	hot, others int // requests a second
	ids         []uuid.UUID
	random      *rand.Rand
	name        string
	pulse       *pulse

	stopped chan struct{}
	done    sync.WaitGroup
	mu      sync.Mutex
	sends   []*send
	skipped int
}

// stormMost is how many requests may be under way at once; more are not sent.
const stormMost = 20_000

// stormTick is how often requests that are due are sent.
const stormTick = 2 * time.Millisecond

func (s *storm) start() {
	s.pulse, s.stopped = newPulse(), make(chan struct{})
	s.done.Go(s.run)
}

func (s *storm) run() {
	slots := make(chan struct{}, stormMost)
	tick := time.NewTicker(stormTick)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-s.stopped:
			return
		case now := <-tick.C:
			for ; n < int(now.Sub(s.pulse.began).Seconds()*float64(s.hot+s.others)); n++ {
				x, turn := s.draw(n), n
				select {
				case slots <- struct{}{}:
					s.done.Go(func() { s.one(x, turn); <-slots })
				default:
					s.skipped++
				}
			}
		}
	}
}

// draw makes the n-th request. Every third withdraws, at times more than there is.
func (s *storm) draw(n int) *send {
	x := &send{wallet: s.ids[0], key: fmt.Sprintf("%s-%d", s.name, n), kind: deposit, amount: 1 + s.random.Int64N(100)}
	if s.random.IntN(s.hot+s.others) >= s.hot {
		x.wallet = s.ids[1+s.random.IntN(len(s.ids)-1)]
	}
	if s.random.IntN(3) == 0 {
		x.kind, x.amount = withdraw, 1+s.random.Int64N(200)
	}
	return x
}

func (s *storm) one(x *send, turn int) {
	at := s.pulse.sent()
	s.balancer.send(x, turn)
	s.pulse.answered(at, x)
	s.mu.Lock()
	s.sends = append(s.sends, x)
	s.mu.Unlock()
	s.note(x)
}

// stop ends the load and waits for all answers.
func (s *storm) stop() []*send {
	close(s.stopped)
	s.done.Wait()
	return s.sends
}
