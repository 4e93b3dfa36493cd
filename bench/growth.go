package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// growthCommand prints curves: what an operation costs as the ledger and the
// journal grow.
type growthCommand struct {
	Only       []string `help:"Curves, in this order, each on what the ones before it have left. Ten million operations make the indexes larger than the database's buffers." enum:"wallets,operations,backlog" default:"wallets,operations,backlog"`
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
	for _, n := range slices.Concat(c.Operations, c.Wallets) {
		if n < 0 || n > 100_000_000 {
			return errors.New("--operations and --wallets must be from 0 to 100000000")
		}
	}
	return nil
}

// growthConnections is the load's: enough for batches, few enough to see latency.
const growthConnections = 64

// Run is kong's.
func (c *growthCommand) Run(ctx context.Context) (err error) {
	dir, err := workDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{bin: filepath.Join(dir, "bin"), seconds: time.Duration(c.Seconds * float64(time.Second)), say: os.Stderr}
	if err := b.start(ctx, dir, []cell{{Subject: flushed}}); err != nil {
		return err
	}
	defer func() { b.subjects.stop(); err = errors.Join(err, b.components.stop()) }()
	if err := b.warm(ctx, growthWarm); err != nil {
		return err
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	draw := map[string]func() ([]target, error){
		"wallets":    func() ([]target, error) { return b.walletsCurve(ctx, out, c.Wallets) },
		"operations": func() ([]target, error) { return b.operationsCurve(ctx, out, c.Operations) },
		"backlog":    func() ([]target, error) { return b.backlogCurve(ctx, out, int64(c.Backlog)) },
	}
	var all []target
	for _, curve := range c.Only {
		held, err := draw[curve]()
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

// What the last point may be, as a multiple of the first.
const (
	operationsGrowth = 1.15 // cost per operation, a page and a look-up, from an empty ledger to ten million operations
	walletsGrowth    = 1.5  // cost per operation, from a thousand wallets to a million
)

// relativeCost returns what an operation costs as a multiple of the first point's, in units
// of the loader's own cost. The loader does the same for an operation at each point:
// so the speed of a machine that others use too drops out.
func (f figure) relativeCost(first figure) float64 {
	return f.cost() / f.CPUMicros[loader] / (first.cost() / first.CPUMicros[loader])
}
