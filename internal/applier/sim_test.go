package applier_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	simSeed = flag.Uint64("sim.seed", 0, "replay the simulation of this seed; 0 draws new ones")
	simRuns = flag.Int("sim.runs", 1000, "number of simulations, each with a seed of its own")
)

// TestSimulation runs interleavings of replicas over a journal and a ledger in
// memory, one after the other. A scheduler of our own decides, from a seed, which
// call of which replica is next and how it ends; an auditor judges the books. A
// seed always gives the same trace (without the race detector, which has the
// runtime reorder goroutines).
func TestSimulation(t *testing.T) {
	defer alone()()
	began, steps, runs := time.Now(), 0, *simRuns
	if *simSeed != 0 {
		runs = 1
	}
	for range runs {
		seed := *simSeed
		if seed == 0 {
			seed = rand.Uint64()
		}
		s := inBubble(t, seeded(seed), *simSeed != 0)
		steps += s.steps
		if *simSeed != 0 {
			t.Log(s.report())
		}
		if len(s.broken) > 0 {
			fail(t, seed, s)
		}
	}
	took := time.Since(began)
	t.Logf("%d simulations, %d steps, %.0f simulations/s, %.0f steps/s", runs, steps, float64(runs)/took.Seconds(), float64(steps)/took.Seconds())
}

// fail shows the shortest trace that is found to fail in the same way.
func fail(t *testing.T, seed uint64, s *sim) {
	t.Logf("it fails after %d steps: %s", s.steps, s.broken[0])
	short := shrink(s.noted, 500, func(choices []uint16) bool { return len(inBubble(t, given(choices), false).broken) > 0 })
	t.Fatalf("replay with -sim.seed=%d; a shorter one:\n%s", seed, inBubble(t, given(short), true).report())
}

func (s *sim) report() string {
	return strings.Join(slices.Concat(s.trace, s.broken), "\n")
}

func inBubble(t *testing.T, tape *tape, traced bool) (s *sim) {
	synctest.Test(t, func(*testing.T) { s = simulate(tape, traced) })
	return s
}

// alone keeps the runtime from running, or stopping, goroutines in an order of its
// own: on one processor, and without the collector, they go one after the other.
func alone() (restore func()) {
	was, percent := runtime.GOMAXPROCS(1), debug.SetGCPercent(400)
	return func() { runtime.GOMAXPROCS(was); debug.SetGCPercent(percent) }
}

// What the scheduler decides is all that there is to decide.
func TestASeedGivesTheSameTrace(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector has the runtime reorder goroutines")
	}
	defer alone()()
	for range 100 {
		seed := rand.Uint64()
		a, b := inBubble(t, seeded(seed), true).report(), inBubble(t, seeded(seed), true).report()
		if a != b {
			t.Fatalf("sim.seed=%d: %s", seed, firstDifference(a, b))
		}
	}
}

func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return fmt.Sprintf("after %d lines:\n%s\n%s", i, as[i], bs[i])
		}
	}
	return fmt.Sprintf("%d lines and %d", len(as), len(bs))
}
