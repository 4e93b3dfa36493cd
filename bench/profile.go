package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
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
	{groupHot, replicated, load{Connections: 64, Wallets: 1}},
	{groupMany, replicated, load{Connections: manyConnections, Wallets: manyWallets}},
	{groupOpen, flushed, load{Rate: 5000, Wallets: 1}},
	{groupOpen, flushed, load{Rate: 1000, Wallets: 1}},
	{groupLone, flushed, load{Connections: 1, Wallets: 1}},
}

const (
	profileLead   = time.Second // of a load before it is looked at
	profileTail   = time.Second // of it afterwards
	sampleRate    = 1999        // a second and processor: a prime, so that it keeps step with nothing
	perfTimeout   = 2 * time.Minute
	topOfFunction = 10
)

// Validate is kong's.
func (c *profileCommand) Validate() error {
	if c.Seconds < 1 || c.Seconds > 60 {
		return errors.New("--seconds must be from 1 to 60")
	}
	return nil
}

// Run is kong's.
func (c *profileCommand) Run(ctx context.Context) (err error) {
	if _, err := exec.LookPath("perf"); err != nil {
		return fmt.Errorf("perf of the kernel's tools is needed (apt-get install linux-perf): %w", err)
	}
	dir, err := workDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	looked := time.Duration(c.Seconds * float64(time.Second))
	b := &bench{bin: filepath.Join(dir, "bin"), seconds: profileLead + looked + profileTail, say: os.Stderr}
	if err := b.start(ctx, dir, profiled); err != nil {
		return err
	}
	defer func() { b.subjects.stop(); err = errors.Join(err, b.components.stop()) }()
	if err := b.warm(ctx, c.Warm); err != nil {
		return err
	}
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
}

// profile looks at a cell's load from the inside for as long.
func (b *bench) profile(ctx context.Context, c cell, looked time.Duration) (*profile, error) {
	data := filepath.Join(b.components.dir, "perf.data")
	var idle time.Duration
	b.beside = func(ctx context.Context) error {
		select {
		case <-time.After(profileLead):
		case <-ctx.Done():
			return ctx.Err()
		}
		before := idleCPU()
		err := perf(ctx, io.Discard, "record", "-q", "-e", "cpu-clock", "-F", fmt.Sprint(sampleRate), "-g", "-a", "-o", data, "--", "sleep", fmt.Sprint(looked.Seconds()))
		idle = idleCPU() - before
		return err
	}
	defer func() { b.beside = nil }()
	f, err := b.measure(ctx, c)
	if err != nil {
		return nil, err
	}
	p := newProfile(c, b.subjects[c.Subject], f.PerSecond, looked)
	p.idle = idle.Seconds() / looked.Seconds()
	samples, into := io.Pipe()
	go func() { into.CloseWithError(perf(ctx, into, "script", "-i", data, "-F", "comm,pid,ip,sym")) }()
	return p, errors.Join(p.read(samples), samples.Close())
}

// perf runs the kernel's profiler.
func perf(ctx context.Context, out io.Writer, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, perfTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "perf", args...)
	var complaint strings.Builder
	command.Stdout, command.Stderr = out, &complaint
	if err := command.Run(); err != nil {
		return fmt.Errorf("perf %s: %w\n%s", args[0], err, complaint.String())
	}
	return nil
}

// idleCPU is how long the processors have had nothing to do, since the machine began.
func idleCPU() time.Duration {
	stat, _ := os.ReadFile("/proc/stat")
	var busy [3]int64
	var idle, disk int64
	_, _ = fmt.Sscanf(string(stat), "cpu %d %d %d %d %d", &busy[0], &busy[1], &busy[2], &idle, &disk)
	return time.Duration(idle+disk) * clockTick
}
