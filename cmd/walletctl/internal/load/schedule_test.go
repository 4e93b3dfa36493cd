package load

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestOpenLoopSendsOnScheduleWhateverIsUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		slots, hangs := newBounded(1000), make(chan struct{})
		var late time.Duration
		sent := 0
		openLoop(t.Context(), time.Sleep, 100, 300, func(due time.Time) {
			late = max(late, time.Since(due))
			if want := start.Add(time.Duration(sent) * 10 * time.Millisecond); !due.Equal(want) {
				t.Errorf("request %d due at %v, want %v", sent, due, want)
			}
			sent++
			slots.start(func() { <-hangs })
		})
		if sent != 300 || late != 0 || slots.notSent.Load() != 0 {
			t.Errorf("%d sent, %v late, %d not sent", sent, late, slots.notSent.Load())
		}
		close(hangs)
		slots.running.Wait()
	})
}

func TestWhatIsDueBeyondTheBoundIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots, hangs := newBounded(10), make(chan struct{})
		openLoop(t.Context(), time.Sleep, 100, 25, func(time.Time) {
			slots.start(func() { <-hangs })
		})
		if got := slots.notSent.Load(); got != 15 {
			t.Errorf("%d not sent, want 15", got)
		}
		close(hangs)
		slots.running.Wait()
	})
}

func TestOpenLoopCatchesUpAndCountsFromTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var latest []time.Duration
		openLoop(t.Context(), time.Sleep, 100, 10, func(due time.Time) {
			if len(latest) == 0 {
				time.Sleep(50 * time.Millisecond) // the sender itself is held up
			}
			latest = append(latest, time.Since(due))
		})
		for i, want := range []time.Duration{50, 40, 30, 20, 10, 0, 0, 0, 0, 0} {
			if latest[i] != want*time.Millisecond {
				t.Errorf("request %d: latency %v, want %v", i, latest[i], want*time.Millisecond)
			}
		}
	})
}

func TestLoopsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		sent := 0
		openLoop(ctx, time.Sleep, 10, 1e6, func(time.Time) { sent++ })
		if sent < 10 || sent > 11 {
			t.Errorf("%d sent in a second at 10/s", sent)
		}
		answered := 0
		closedLoop(t.Context(), 1, time.Second, func(int) bool {
			time.Sleep(110 * time.Millisecond)
			answered++
			return true
		})
		if answered != 10 {
			t.Errorf("%d answered, want 10", answered)
		}
	})
}

func TestSleepIsNotShorterThanAsked(t *testing.T) {
	sleep, stop := newSleep()
	defer stop()
	for _, d := range []time.Duration{0, time.Microsecond, 3 * time.Millisecond, 700 * time.Microsecond} {
		start := time.Now()
		if sleep(d); time.Since(start) < d {
			t.Errorf("%v instead of %v", time.Since(start), d)
		}
	}
}
