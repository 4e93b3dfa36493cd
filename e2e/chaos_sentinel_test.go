//go:build chaos

package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	sentinelEvery = 100 * time.Millisecond
	// patienceOfProbes is how long walletd's own probes wait: a component that is
	// silent for longer counts as down.
	patienceOfProbes = time.Second
)

// sentinel asks the components directly, not through a proxy, all the while: a fault is
// a single one only if what it did not strike has answered. On a machine that is
// too busy that may not be so, and is then said.
type sentinel struct {
	stopped chan struct{}
	done    sync.WaitGroup
	mu      sync.Mutex
	worst   map[string]time.Duration
}

// watchComponents starts asking.
func (r *rig) watchComponents() *sentinel {
	s := &sentinel{stopped: make(chan struct{}), worst: map[string]time.Duration{}}
	dsn, broker := r.dsn(), r.kafkaAPI
	s.done.Go(func() { s.watch("postgres", func(ctx context.Context) error { return askPostgres(ctx, dsn) }) })
	s.done.Go(func() { s.watch("kafka", broker.Ping) })
	return s
}

func (s *sentinel) watch(name string, ask func(context.Context) error) {
	tick := time.NewTicker(sentinelEvery)
	defer tick.Stop()
	for !closed(s.stopped) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 2*patienceOfProbes)
		err := ask(ctx)
		cancel()
		took := time.Since(began)
		if err != nil {
			took = max(took, 2*patienceOfProbes)
		}
		s.mu.Lock()
		s.worst[name] = max(s.worst[name], took)
		s.mu.Unlock()
		select {
		case <-s.stopped:
		case <-tick.C:
		}
	}
}

func askPostgres(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.Ping(ctx)
}

// stop ends the asking and says which component was silent for too long though no
// fault struck it; "" if none was.
func (s *sentinel) stop(faults ...chaos) (also string) {
	close(s.stopped)
	s.done.Wait()
	for _, c := range faults {
		if c.of == "broker" {
			delete(s.worst, "kafka")
		}
		delete(s.worst, c.of)
		if c.double() {
			delete(s.worst, "postgres")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.worst)) {
		if s.worst[name] > patienceOfProbes {
			also += fmt.Sprintf(", %s silent for %s", name, round(s.worst[name]))
		}
	}
	return also
}

// stall is for how long, since the machine started, something that could have run
// had to wait for a processor.
func stall() time.Duration {
	text, _ := os.ReadFile("/proc/pressure/cpu")
	_, after, _ := strings.Cut(string(text), "total=")
	micros, _, _ := strings.Cut(after, "\n")
	n, _ := strconv.ParseInt(micros, 10, 64)
	return time.Duration(n) * time.Microsecond
}
