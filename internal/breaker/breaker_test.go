package breaker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errGone = errors.New("connection refused")

// component is what a breaker probes: it answers with what was set last, and
// hangs until the probe gives up while that is errHung.
type component struct {
	mu     sync.Mutex
	answer error
	once   bool // it answers so only once, and then nil
	probes int
}

var errHung = errors.New("hung")

func (c *component) set(answer error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

func (c *component) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.probes
}

func (c *component) probe(ctx context.Context) error {
	c.mu.Lock()
	c.probes++
	answer := c.answer
	if c.once {
		c.answer = nil
	}
	c.mu.Unlock()
	if errors.Is(answer, errHung) {
		<-ctx.Done()
		return ctx.Err()
	}
	return answer
}

// started runs a breaker over c, on a clock that moves only while everybody waits,
// until the test ends.
func started(t *testing.T, c *component) *Breaker {
	t.Helper()
	b := New(Config{Name: "component", Probe: c.probe, Interval: time.Second, Timeout: 100 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { b.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	synctest.Wait()
	return b
}

// isClosed reports whether ch is closed.
func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestNewBreakerIsOpenBeforeTheFirstProbe(t *testing.T) {
	b := New(Config{Name: "component"})
	if b.Err() == nil || !isClosed(b.Down()) {
		t.Error("a component that was never asked counts as up")
	}
}

func TestFirstProbeClosesItAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		b := started(t, &component{})
		if b.Err() != nil || isClosed(b.Down()) || time.Since(began) != 0 {
			t.Errorf("%v after %s", b.Err(), time.Since(began))
		}
	})
}

func TestFailOpensItAtOnceAndWakesWhoeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &component{}
		b := started(t, c)
		down := b.Down()
		c.set(errGone)
		b.Fail(errGone)
		if !errors.Is(b.Err(), errGone) || !isClosed(down) || !isClosed(b.Down()) {
			t.Error("open, but not everybody was told")
		}
	})
}

func TestFailWithoutAnErrorChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := started(t, &component{})
		b.Fail(nil)
		if b.Err() != nil {
			t.Error(b.Err())
		}
	})
}

func TestFailIsFollowedByAProbeNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &component{}
		b := started(t, c)
		began := time.Now()
		b.Fail(errGone)
		synctest.Wait()
		if b.Err() != nil || time.Since(began) != 0 {
			t.Errorf("a component that answers is still down: %v after %s", b.Err(), time.Since(began))
		}
		if isClosed(b.Down()) {
			t.Error("the channel of an up component is closed")
		}
	})
}

func TestSuspectProbesWithoutOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &component{}
		b := started(t, c)
		before := c.asked()
		b.Suspect()
		if b.Err() != nil {
			t.Error("a suspicion opened it")
		}
		synctest.Wait()
		if c.asked() != before+1 {
			t.Errorf("%d probes after a suspicion", c.asked()-before)
		}
		c.set(errGone)
		b.Suspect()
		synctest.Wait()
		if !errors.Is(b.Err(), errGone) {
			t.Error("a suspicion that was right did not open it")
		}
	})
}

func TestAConnectionThatWasCutIsNoComponentThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &component{}
		b := started(t, c)
		c.once = true
		c.set(errGone)
		down := b.Down()
		time.Sleep(time.Second)
		synctest.Wait()
		select {
		case <-down:
			t.Error("one probe of a cut connection opened it")
		default:
		}
		if c.asked() != 3 {
			t.Errorf("%d probes", c.asked())
		}
	})
}

func TestHungComponentIsDownAfterTheTimeoutOfOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &component{}
		b := started(t, c)
		down := b.Down()
		c.set(errHung)
		began := time.Now()
		<-down
		if d := time.Since(began); d != b.config.Interval+b.config.Timeout {
			t.Errorf("down after %s", d)
		}
	})
}

func TestItClosesAgainWithinAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &component{answer: errGone}
		b := started(t, c)
		if !errors.Is(b.Err(), errGone) {
			t.Fatal(b.Err())
		}
		c.set(nil)
		<-time.After(b.config.Interval) // of the test's own clock
		synctest.Wait()
		if b.Err() != nil {
			t.Error(b.Err())
		}
	})
}

func TestProbesStopWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &component{}
		b := New(Config{Name: "component", Probe: c.probe, Interval: time.Second, Timeout: time.Second, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		b.Run(ctx)
		if c.asked() != 4 {
			t.Errorf("%d probes", c.asked())
		}
	})
}

// Calls that find the component failing race with probes that find it answering.
func TestDownIsClosedExactlyWhileErrIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &component{}
		b := started(t, c)
		var calls sync.WaitGroup
		for range 8 {
			calls.Go(func() {
				for range 500 {
					b.Fail(errGone)
					_, _ = b.Err(), b.Down()
				}
			})
		}
		calls.Wait()
		synctest.Wait()
		if b.Err() != nil || isClosed(b.Down()) {
			t.Errorf("%v, and Down is closed: %t", b.Err(), isClosed(b.Down()))
		}
	})
}
