package applier

import (
	"testing"
	"time"
)

func TestTheBackoffGrowsToItsBoundAndStays(t *testing.T) {
	l := DefaultLimits()
	last := time.Duration(0)
	for attempt := range 1000 {
		d := l.backoff(attempt)
		if d < last || d > l.MaxRequeueDelay || d < l.MinRequeueDelay {
			t.Fatalf("attempt %d waits %s after %s", attempt, d, last)
		}
		last = d
	}
	if l.backoff(0) != l.MinRequeueDelay || last != l.MaxRequeueDelay {
		t.Errorf("from %s to %s", l.backoff(0), last)
	}
}
