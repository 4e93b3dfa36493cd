package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// profileCommand shows what the processor time of an operation is spent on.
type profileCommand struct {
	Seconds float64       `default:"8" help:"That are looked at, of each load."`
	Warm    time.Duration `default:"3m" help:"At most, for each broker, before anything is looked at."`
}

// profiled are the loads of the targets that processor time decides, and the empty handler.
var profiled = []cell{
	{groupHot, emptyHandler, load{Connections: 256, Wallets: 1}},
	{groupHot, replicated, load{Connections: 256, Wallets: 1}},
	{groupHot, replicated, load{Connections: 256, Wallets: 1, Async: true}},
	{groupHot, emptyHandler, load{Connections: 512, Wallets: 1}},
	{groupHot, replicated, load{Connections: 512, Wallets: 1}},
	{groupHot, replicated, load{Connections: 512, Wallets: 1, Async: true}},
	{groupHot, replicated, load{Connections: 64, Wallets: 1}},
	{groupMany, replicated, load{Connections: manyConnections, Wallets: manyWallets}},
	{groupOpen, flushed, load{Rate: 5000, Wallets: 1}},
	{groupOpen, flushed, load{Rate: 1000, Wallets: 1}},
	{groupHot, flushed, load{Connections: 1, Wallets: 1}},
}

const (
	profileLead  = time.Second     // of a load before it is looked at
	profileTail  = 2 * time.Second // of it afterwards
	sampleRate   = 1999            // a second and processor: a prime, so that it keeps step with nothing
	perfTimeout  = 5 * time.Minute
	perfGrace    = 5 * time.Second // to end when it is asked to
	topFunctions = 10
)

// Validate is kong's.
func (c *profileCommand) Validate() error {
	if c.Seconds < 1 || c.Seconds > 30 {
		return errors.New("--seconds must be from 1 to 30")
	}
	return nil
}

// Run is kong's.
func (c *profileCommand) Run(ctx context.Context) error {
	if _, err := exec.LookPath("perf"); err != nil {
		return fmt.Errorf("perf of the kernel's tools is needed (apt-get install linux-perf): %w", err)
	}
	looked := time.Duration(c.Seconds * float64(time.Second))
	b := &bench{say: os.Stderr}
	return b.with(ctx, profiled, c.Warm, func() error {
		all := make([]*profile, 0, len(profiled))
		for i, one := range profiled {
			fmt.Fprintf(b.say, "[%d/%d] %s, %s, %s\n", i+1, len(profiled), one.Group, one.loop(), one.name())
			p, err := b.profile(ctx, one, looked)
			if err != nil {
				return err
			}
			all = append(all, p)
		}
		return showProfiles(os.Stdout, all)
	})
}

// profile looks at a cell's load from the inside for as long, and checks what it has left.
func (b *bench) profile(ctx context.Context, c cell, looked time.Duration) (*profile, error) {
	s := b.subjects[c.Subject]
	first, err := b.introduce(ctx, s, &c.load)
	if err != nil {
		return nil, err
	}
	p, data := newProfile(c, looked), filepath.Join(b.components.dir, "perf.data")
	var said loadReport
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		said, err = b.put(gctx, s, c.load, profileLead+looked+profileTail)
		return err
	})
	g.Go(func() error {
		select {
		case <-time.After(profileLead):
		case <-gctx.Done():
			return gctx.Err()
		}
		p.own(s) // again later: PostgreSQL's processes come and go
		return perf(gctx, io.Discard, "record", "-q", "-B", "-e", "cpu-clock", "-F", fmt.Sprint(sampleRate), "-g", "-a", "-o", data, "--", "sleep", fmt.Sprint(looked.Seconds()))
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	p.own(s)
	p.perSecond = float64(said.Answers.promised()) / said.SendingSeconds
	if s.ledger != nil {
		wallets, told := first.and(said)
		if err := errors.Join(s.drained(ctx, wallets, told.promised()), s.check(ctx, wallets, told)); err != nil {
			return nil, err
		}
	}
	samples, into := io.Pipe()
	go func() { into.CloseWithError(perf(ctx, into, "script", "-i", data, "-F", "comm,pid,ip,sym")) }()
	err = errors.Join(p.read(samples), samples.Close())
	return p, errors.Join(err, checkRate())
}

// checkRate fails if the kernel has lowered how often it samples.
func checkRate() error {
	text, err := os.ReadFile("/proc/sys/kernel/perf_event_max_sample_rate")
	if err != nil {
		return err
	}
	if most, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil || most < sampleRate {
		return fmt.Errorf("kernel.perf_event_max_sample_rate is %s, and has to be %d at least", bytes.TrimSpace(text), sampleRate)
	}
	return nil
}

// perf runs the kernel's profiler.
func perf(ctx context.Context, out io.Writer, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, perfTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "perf", args...)
	var complaint strings.Builder
	command.Stdout, command.Stderr = out, &complaint
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) } // which ends what it looks at too
	command.WaitDelay = perfGrace
	if err := command.Run(); err != nil {
		return fmt.Errorf("perf %s: %w\n%s", args[0], err, complaint.String())
	}
	return nil
}
