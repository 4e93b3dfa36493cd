package ledger

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/walletd/walletd/internal/wallet"
)

// sharedMost bounds the questions of one statement; the rest is for the next.
const sharedMost = 500

// shared are questions that many requests ask one by one at the same time. One statement
// answers all that have come while the last one was under way: each alone would cost as
// much as all of them, and a second statement would halve what they share.
type shared[Q comparable, A any] struct {
	mu       sync.Mutex
	inFlight bool // a statement
	waiting  []*question[Q, A]
}

// question is one request's.
type question[Q comparable, A any] struct {
	asked Q
	told  chan answer[A]
}

type answer[A any] struct {
	is    A
	found bool
	err   error
}

// ask returns what read, which gets several questions and answers those that it finds
// something for, has read for this one after ask was called. Its error is everybody's.
func (s *shared[Q, A]) ask(ctx context.Context, q Q, read func([]Q) (map[Q]A, error)) (is A, found bool, err error) {
	one := &question[Q, A]{asked: q, told: make(chan answer[A], 1)}
	if s.enter(one) {
		go s.serve(read) // no longer than there is something to ask
	}
	select {
	case a := <-one.told:
		return a.is, a.found, a.err
	case <-ctx.Done():
		return is, false, fmt.Errorf("%w: %w", wallet.ErrUnavailable, ctx.Err())
	}
}

// enter queues a question and reports whether somebody has to be found to serve it.
func (s *shared[Q, A]) enter(one *question[Q, A]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, one)
	if s.inFlight {
		return false
	}
	s.inFlight = true
	return true
}

// take returns what to ask next; nothing ends a serving.
func (s *shared[Q, A]) take() []*question[Q, A] {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.waiting), sharedMost)
	if n == 0 {
		s.inFlight = false
		return nil
	}
	batch := s.waiting[:n:n]
	s.waiting = s.waiting[n:]
	return batch
}

// serve asks what waits until nothing does. Requests come in bursts, when a commit has
// answered those before: who comes first lets the others run.
func (s *shared[Q, A]) serve(read func([]Q) (map[Q]A, error)) {
	runtime.Gosched()
	for batch := s.take(); batch != nil; batch = s.take() {
		asked := make([]Q, len(batch))
		for i, one := range batch {
			asked[i] = one.asked
		}
		answers, err := read(asked)
		for _, one := range batch {
			is, found := answers[one.asked]
			one.told <- answer[A]{is, found, err}
		}
	}
}
