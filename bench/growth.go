package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"
)

// growthCommand prints curves: what an operation costs as the ledger and the
// journal grow.
type growthCommand struct {
	Only       []string `help:"Curves, each by a walletd of its own with an empty ledger and journal." enum:"wallets,operations,backlog" default:"wallets,operations,backlog"`
	Seconds    float64  `default:"10" help:"Of load for each point."`
	Operations []int    `default:"0,1000000,10000000" help:"In the ledger, of other wallets."`
	Wallets    []int    `default:"1000,10000,100000,1000000" help:"In the ledger, gone round by the load."`
	Backlog    int      `default:"1000000" help:"Operations journaled while PostgreSQL is away."`
	Strict     bool     `help:"Exit 1 also when a target is missed."`
}

// Validate is kong's.
func (c *growthCommand) Validate() error {
	if c.Seconds < 0.5 || c.Backlog < 1 || c.Backlog > 10_000_000 {
		return errors.New("--seconds must be at least 0.5, and --backlog from 1 to 10000000")
	}
	for _, points := range [][]int{c.Operations, c.Wallets} {
		if len(points) < 2 || points[0] < 0 || points[len(points)-1] > 100_000_000 || !ascend(points) {
			return errors.New("--operations and --wallets must be two points or more, from 0 to 100000000, each larger than the one before")
		}
	}
	if c.Wallets[0] == 0 {
		return errors.New("--wallets must be at least 1")
	}
	return nil
}

// ascend reports whether each point is beyond the one before.
func ascend(points []int) bool {
	for i := 1; i < len(points); i++ {
		if points[i] <= points[i-1] {
			return false
		}
	}
	return true
}

// growthConnections is the load's: enough for batches, few enough to see latency.
const growthConnections = 64

// Run is kong's.
func (c *growthCommand) Run(ctx context.Context) error {
	b := &bench{seconds: time.Duration(c.Seconds * float64(time.Second)), say: os.Stderr}
	return b.with(ctx, []cell{{Subject: flushed}, {Subject: emptyHandler}}, growthWarm, func() error { return c.draw(ctx, b) })
}

// draw measures the curves and shows them.
func (c *growthCommand) draw(ctx context.Context, b *bench) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	draw := map[string]func(*subject) ([]target, error){
		"wallets":    func(s *subject) ([]target, error) { return b.walletsCurve(ctx, s, out, c.Wallets) },
		"operations": func(s *subject) ([]target, error) { return b.operationsCurve(ctx, s, out, c.Operations) },
		"backlog":    func(s *subject) ([]target, error) { return b.backlogCurve(ctx, s, out, int64(c.Backlog)) },
	}
	var all []target
	for _, curve := range c.Only {
		s, err := b.renew(ctx, curve)
		if err != nil {
			return err
		}
		held, err := draw[curve](s)
		if err != nil {
			return err
		}
		all = append(all, held...)
		fmt.Fprintln(out)
		if err := out.Flush(); err != nil {
			return err
		}
	}
	showTargets(out, all)
	if err := out.Flush(); err != nil || !c.Strict {
		return err
	}
	return strictly(all)
}

// growthWarm is before the first point, so that it is not the dearest.
const growthWarm = 2 * time.Minute

// cost is the CPU of all processes but the loader, in µs per operation.
func (f figure) cost() (sum float64) {
	for part, micros := range f.CPUMicros {
		if part != loader {
			sum += micros
		}
	}
	return sum
}

// What any point may be, as a multiple of the first.
const (
	operationsGrowth = 1.15 // cost per operation, a page and a look-up, from an empty ledger to ten million operations
	walletsGrowth    = 1.5  // cost per operation, from a thousand wallets to a million
)

// renew gives the flushed walletd's place, and its warm broker, to one with an empty
// ledger and an empty journal.
func (b *bench) renew(ctx context.Context, name string) (*subject, error) {
	old := b.subjects[flushed]
	old.process.stop()
	old.ledger.Close()
	delete(b.subjects, flushed)
	s, err := b.components.walletd(ctx, b.bin, name, b.components.flushed)
	if err != nil {
		return nil, err
	}
	s.name, b.subjects[flushed] = flushed, s
	return s, nil
}

// point is a figure of a curve, and what a request to the empty handler cost right before,
// which is the same work at each point: so the speed of a machine that others use too
// drops out of what they are to each other.
type point struct {
	figure
	unit float64 // µs of CPU of the empty handler
}

// calibrateFor is how long the empty handler is measured before a point.
const calibrateFor = 3 * time.Second

// calibrate returns the unit of the point that comes.
func (b *bench) calibrate(ctx context.Context) (float64, error) {
	s := b.subjects[emptyHandler]
	before := s.usage()
	c := cell{Subject: emptyHandler, load: load{Connections: growthConnections, Wallets: 1}}
	said, err := b.put(ctx, s, c.load, calibrateFor)
	if err != nil {
		return 0, err
	}
	return s.figure(c, said, said.SendingSeconds, before).cost(), nil
}

// relative is what an operation costs as a multiple of the first point's, both in their
// units.
func (p point) relative(first point) float64 { return p.cost() / p.unit / (first.cost() / first.unit) }
