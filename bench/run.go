package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// runCommand measures a plan.
type runCommand struct {
	Only        []string      `help:"Groups: hot, many, reads, bulk, open. Default: all."`
	Connections []int         `default:"1,16,64,256,512" help:"Of the closed loop on one wallet."`
	Seconds     float64       `default:"5" help:"Of load for each figure; on schedule 15 at least."`
	Rounds      int           `default:"3" help:"Everything is measured in turn, and that this often; medians are shown."`
	Warm        time.Duration `default:"3m" help:"At most, for each broker, before anything is measured: a cold one costs several times the CPU. It ends when the broker's compiler has nothing left to do."`
	JSON        bool          `name:"json" help:"For programs, on standard output."`
	Out         string        `placeholder:"DIR" help:"Write results.json and the plots there."`
	Smoke       bool          `help:"A minute: 256 connections, one round of 2s, hardly warmed up. Fails on a wrong count or a collapse."`
	Strict      bool          `help:"Exit 1 also when a target is missed."`
}

var quiet = slog.New(slog.DiscardHandler)

// Validate is kong's.
func (c *runCommand) Validate() error {
	for _, g := range c.Only {
		if !slices.Contains(groups, g) {
			return fmt.Errorf("--only: %s is none of %s", g, strings.Join(groups, ", "))
		}
	}
	if c.Seconds < 0.5 || c.Seconds > 600 || c.Rounds < 1 || c.Rounds > 100 {
		return errors.New("--seconds must be from 0.5 to 600 and --rounds from 1 to 100")
	}
	for i, n := range c.Connections {
		if n < 1 || n > 10_000 || slices.Contains(c.Connections[:i], n) {
			return errors.New("--connections must be from 1 to 10000, each once")
		}
	}
	return nil
}

// bench is a run under way.
type bench struct {
	components *components
	subjects   subjects
	bin        string
	seconds    time.Duration
	smoke      bool
	say        io.Writer
}

// Run is kong's.
func (c *runCommand) Run(ctx context.Context) error {
	if c.Smoke {
		c.Connections, c.Seconds, c.Rounds, c.Warm = []int{256}, 2, 1, 5*time.Second
	}
	cells := plan(c.Only, c.Connections)
	b := &bench{seconds: time.Duration(c.Seconds * float64(time.Second)), smoke: c.Smoke, say: os.Stderr}
	return b.with(ctx, cells, c.Warm, func() error {
		r, err := b.rounds(ctx, cells, c.Rounds)
		if err != nil {
			return err
		}
		if err := c.show(r); err != nil {
			return err
		}
		if c.Smoke {
			err = r.collapsed()
		}
		if c.Strict {
			err = errors.Join(err, strictly(r.Targets))
		}
		return err
	})
}

// with starts what the cells need, warms it up, calls do, and stops everything.
func (b *bench) with(ctx context.Context, cells []cell, warm time.Duration, do func() error) (err error) {
	dir, err := workDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.bin = filepath.Join(dir, "bin")
	if err := b.start(ctx, dir, cells); err != nil {
		return err
	}
	defer func() { b.subjects.stop(); err = errors.Join(err, b.components.stop()) }()
	if err := b.warm(ctx, warm); err != nil {
		return err
	}
	return do()
}

// start builds the programs and starts everything that the cells need.
func (b *bench) start(ctx context.Context, dir string, cells []cell) (err error) {
	fmt.Fprintln(b.say, "building walletd, walletctl and bench")
	build := exec.CommandContext(ctx, "go", "build", "-o", b.bin+"/", "./cmd/walletd", "./cmd/walletctl", "./bench")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("run it in the checkout: %w\n%s", err, out)
	}
	if err := os.Chmod(b.bin, 0o755); err != nil {
		return err
	}
	fmt.Fprintln(b.say, "starting PostgreSQL, two Kafka brokers and Redis")
	if b.components, err = startComponents(ctx, dir, b.say); err != nil {
		return err
	}
	names := map[string]bool{}
	for _, c := range cells {
		names[c.Subject] = true
	}
	if b.subjects, err = startSubjects(ctx, b.components, b.bin, names); err != nil {
		return errors.Join(err, b.components.stop())
	}
	return nil
}

// rounds measures all cells, and that as often as asked.
func (b *bench) rounds(ctx context.Context, cells []cell, rounds int) (*results, error) {
	r := newResults(cells, rounds, b.seconds)
	done, start := 0, time.Now()
	for round := range rounds {
		for _, c := range inTurn(cells, round) {
			f, err := b.measure(ctx, c)
			if err != nil {
				return nil, err
			}
			r.add(c, f)
			done++
			left := time.Since(start) / time.Duration(done) * time.Duration(rounds*len(cells)-done)
			fmt.Fprintf(b.say, "[%d/%d, %s left] %-5s %-7s %-22s %8.0f/s  p50 %7.2f  p99 %7.2f ms\n", done, rounds*len(cells),
				left.Round(time.Second), c.Group, c.loop(), c.name(), f.PerSecond, f.Latency.P50, f.Latency.P99)
		}
	}
	var errs []error
	for _, s := range b.subjects {
		errs = append(errs, s.checkAll(ctx))
	}
	return r, errors.Join(errs...)
}
