package importer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/walletd/walletd/cmd/walletctl/internal/api"
)

// Bounds of the wait between two tries, and between two looks at an operation
// whose outcome is not known yet.
const (
	minRetry = 50 * time.Millisecond
	maxRetry = 5 * time.Second
	maxPoll  = time.Second // between two looks
)

// GaveUp is the end of a run that got nowhere for too long.
type GaveUp struct {
	After time.Duration
	Last  error
}

// Error says for how long, and the last reason.
func (g *GaveUp) Error() string {
	return fmt.Sprintf("no progress for %s: %v", g.After, g.Last)
}

// Unwrap returns the last reason.
func (g *GaveUp) Unwrap() error { return g.Last }

// patience is shared by all accounts: as long as one gets on, the others go on trying.
type patience struct {
	limit time.Duration
	last  atomic.Int64 // when something was settled, Unix nanoseconds
}

func newPatience(limit time.Duration) *patience { return &patience{limit: limit} }

func (p *patience) progress() { p.last.Store(time.Now().UnixNano()) }

// retry calls until the answer settles the request, which every answer but a
// temporary refusal does. A request under way is never cut off by ctx, so that
// its answer is still counted.
func (p *patience) retry(ctx context.Context, call func(context.Context) error) error {
	for attempt := 0; ; attempt++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := call(context.WithoutCancel(ctx))
		if !temporary(err) {
			p.progress()
			return err
		}
		if err := p.wait(ctx, delay(attempt, err), err); err != nil {
			return err
		}
	}
}

// wait waits, no longer than patience lasts; when that has ended it gives up.
func (p *patience) wait(ctx context.Context, delay time.Duration, reason error) error {
	left := p.limit - time.Since(time.Unix(0, p.last.Load()))
	if left <= 0 {
		return &GaveUp{After: p.limit, Last: reason}
	}
	timer := time.NewTimer(min(delay, left))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// temporary reports whether the same request, under the same key, can succeed later.
func temporary(err error) bool {
	if errors.Is(err, errPending) {
		return true
	}
	var refusal *api.Refusal
	if errors.As(err, &refusal) {
		return refusal.Temporary()
	}
	var unreachable *api.Unreachable
	return errors.As(err, &unreachable)
}

// delay doubles with each attempt, spread by half so that the accounts do not
// come back in step, and is never shorter than what the service asked for.
func delay(attempt int, err error) time.Duration {
	d := min(minRetry<<min(attempt, 10), maxRetry)
	if errors.Is(err, errPending) {
		d = min(d, maxPoll)
	}
	d = d/2 + rand.N(d/2)
	var refusal *api.Refusal
	if errors.As(err, &refusal) {
		d = max(d, refusal.RetryAfter)
	}
	return d
}
