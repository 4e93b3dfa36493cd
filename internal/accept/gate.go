package accept

import (
	"math"
	"time"

	"github.com/walletd/walletd/internal/wallet"
)

// gate limits what one wallet, or this replica, has under way. It counts separately the
// operations of unanswered requests, which hold memory here, and the operations without an
// outcome, answered 202 or not, which the ledger still has to apply. Not safe for concurrent
// use.
type gate struct {
	limit              int // of operations, of either kind
	unansweredRequests int
	unanswered         int       // operations, of these requests
	answered           pace      // of operations
	settled            pace      // outcomes
	outcomes           int64     // that there were by the last look
	due                time.Time // when all who were refused will have found room
}

// load is what was accepted.
type load struct {
	unsettled int   // operations without an outcome
	outcomes  int64 // that there have been
}

// maxRetryAfter bounds Retry-After: a client had better come back too early than give up.
const maxRetryAfter = time.Minute

// retryHaste is at what part of the pace refused clients are told to come back: the rest
// of the room goes to those who come for the first time.
const retryHaste = 0.75

func newGate(now time.Time, limit int, outcomes int64) gate {
	return gate{limit: limit, answered: newPace(now), settled: newPace(now), outcomes: outcomes}
}

// enter lets a request of n operations in if no more than limit are under way with it, else
// it returns how long to wait. A request enters whole. One of more than limit enters while
// nothing else is under way: it never could otherwise.
func (g *gate) enter(now time.Time, n int, l load) (again time.Duration) {
	g.settled.add(now, int(max(0, l.outcomes-g.outcomes)))
	g.outcomes = l.outcomes
	switch {
	case g.unanswered > 0 && g.unanswered+n > g.limit:
		return g.retryAfter(now, n, g.unanswered+n-g.limit, &g.answered)
	case l.unsettled > 0 && l.unsettled+n > g.limit:
		return g.retryAfter(now, n, l.unsettled+n-g.limit, &g.settled)
	case max(g.unanswered, l.unsettled)+n <= g.limit/2:
		g.due = time.Time{} // those who were refused do not come back
	}
	g.unansweredRequests++
	g.unanswered += n
	return 0
}

// leave takes a request of n out, of which so many were answered.
func (g *gate) leave(now time.Time, n, answered int) {
	g.answered.add(now, answered)
	g.unansweredRequests--
	g.unanswered -= n
}

// retryAfter is when a refused request of n is to come back: once the excess is done, and
// after all who were refused before it, so that each who comes when it was told finds room.
// It is in whole seconds, as Retry-After says it.
func (g *gate) retryAfter(now time.Time, n, excess int, p *pace) time.Duration {
	rate := p.perSecond(now)
	if rate == 0 { // nothing to go by but how long it has been so
		return min(maxRetryAfter, max(retrySoon, now.Sub(p.began).Round(time.Second)))
	}
	room := now.Add(during(excess, rate))
	if next := g.due.Add(during(n, rate*retryHaste)); next.After(room) {
		room = next
	}
	again := min(maxRetryAfter, max(time.Second, room.Sub(now)))
	g.due = now.Add(again)
	return time.Duration(math.Ceil(again.Seconds())) * time.Second
}

// during is how long n take, bounded for what is as good as never.
func during(n int, rate float64) time.Duration {
	return time.Duration(min(float64(n)/rate, 2*maxRetryAfter.Seconds()) * float64(time.Second))
}

func overloaded(detail string, retry time.Duration) error {
	return &wallet.Error{Code: wallet.CodeOverloaded, Fate: wallet.NotApplied, Detail: detail, RetryAfter: max(retry, time.Second)}
}
