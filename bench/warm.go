package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// How a broker is warmed up: its compiler needs calls, of which small batches make
// more than large ones, and then processor time of its own, which it does not get
// under load.
const (
	warmBurst    = 8 * time.Second
	warmRestMost = 10 * time.Second // for the compiler to end
	warmLook     = time.Second
	warmIdle     = 0.01 // of a processor: a compiler that has nothing left to do
)

// warmLoads are put on in turn.
var warmLoads = []load{
	{Connections: 16, Wallets: 1},
	{Connections: manyConnections, Wallets: manyWallets},
	{Connections: 64, Wallets: 1},
}

// warm brings compilers and caches to where a service is after some time of work,
// for at most d for each broker.
func (b *bench) warm(ctx context.Context, d time.Duration) error {
	for name, s := range b.subjects {
		var err error
		if name == flushed || name == replicated {
			err = b.warmBroker(ctx, s, d)
		} else {
			_, err = b.put(ctx, s, load{Connections: 64, Wallets: 1}, min(d, warmBurst/2))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// warmBroker puts bursts of load on a broker, with rests, until its compiler has
// nothing to do in one of them.
func (b *bench) warmBroker(ctx context.Context, s *subject, d time.Duration) error {
	pid := s.parts["kafka"]
	for turn, end := 0, time.Now().Add(d); ; turn++ {
		before, compiled, began := used(pid).CPU, compilerCPU(pid), time.Now()
		said, err := b.put(ctx, s, warmLoads[turn%len(warmLoads)], min(d, warmBurst))
		if err != nil {
			return err
		}
		compiling := (compilerCPU(pid) - compiled).Seconds() / time.Since(began).Seconds()
		fmt.Fprintf(b.say, "warming %s, at most for %s: %.0f µs of Kafka an operation, %.0f %% of a processor for its compiler\n",
			s.name, d, float64((used(pid).CPU-before).Microseconds())/float64(said.Answers.promised()), 100*compiling)
		if 0 <= compiling && compiling < warmIdle || time.Now().After(end) {
			return nil
		}
		if err := restCompiler(ctx, pid); err != nil {
			return err
		}
	}
}

// restCompiler waits until the compiler does nothing, no longer than warmRestMost.
func restCompiler(ctx context.Context, pid int) error {
	tick := time.NewTicker(warmLook)
	defer tick.Stop()
	for end, before := time.Now().Add(warmRestMost), compilerCPU(pid); time.Now().Before(end); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		now := compilerCPU(pid)
		if (now - before).Seconds() <= warmIdle*warmLook.Seconds() {
			return nil
		}
		before = now
	}
	return nil
}

// compilerCPU is what the compiler's threads of a Java process have used, of those that it
// has not ended.
func compilerCPU(pid int) (sum time.Duration) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, task := range tasks {
		stat, _ := os.ReadFile(task)
		name, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); strings.Contains(name, "Compiler") && len(fields) > 12 {
			sum += ticks(fields[11:13]) // utime, stime
		}
	}
	return sum
}
