package load

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// openLoop calls fire for each request at its time, whatever is unanswered. A
// schedule that fell behind (the machine was busy) is caught up with at once, and
// what that cost is in the latencies, which count from the scheduled time.
func openLoop(ctx context.Context, sleep func(time.Duration), rate float64, total int64, fire func(scheduled time.Time)) {
	start := time.Now()
	for i := range total {
		at := start.Add(time.Duration(math.Round(float64(i) / rate * float64(time.Second))))
		if !sleepUntil(ctx, sleep, at) {
			return
		}
		fire(at)
	}
}

// sleepUntil reports whether the time was reached before ctx ended. It sleeps in
// short pieces: a timer and a select for each request would cost more.
func sleepUntil(ctx context.Context, sleep func(time.Duration), at time.Time) bool {
	for ctx.Err() == nil {
		wait := time.Until(at)
		if wait <= 0 {
			return true
		}
		sleep(min(wait, time.Second))
	}
	return false
}

// bounded runs requests beside each other up to a limit.
type bounded struct {
	running sync.WaitGroup
	slots   chan struct{}
	notSent atomic.Int64 // requests that were due while the limit was reached
}

func newBounded(limit int) *bounded { return &bounded{slots: make(chan struct{}, limit)} }

// start runs one, or counts it as not sent.
func (b *bounded) start(run func()) {
	select {
	case b.slots <- struct{}{}:
	default:
		b.notSent.Add(1)
		return
	}
	b.running.Go(func() {
		defer func() { <-b.slots }()
		run()
	})
}

// closedLoop has each connection send its next request when the last is answered.
// A slow service slows such a load down, which its latencies do not show.
func closedLoop(ctx context.Context, connections int, d time.Duration, send func(connection int) bool) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var running sync.WaitGroup
	for c := range connections {
		running.Go(func() {
			for ctx.Err() == nil && send(c) {
			}
		})
	}
	running.Wait()
}
