package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// target is a figure that a run is held to.
type target struct {
	What string  `json:"what"`
	Want float64 `json:"want"`
	Got  float64 `json:"got"`
	Met  bool    `json:"met"`
	Unit string  `json:"unit,omitempty"` // empty: a ratio

	Rounds  []float64 `json:"rounds,omitempty"` // of each round: Got is their median
	Reached int       `json:"reached,omitempty"`
}

func atLeast(what string, got, want float64) target {
	return target{What: what, Want: want, Got: got, Met: got >= want}
}

func atMost(what string, got, want float64, unit string) target {
	return target{What: what, Want: want, Got: got, Met: got <= want, Unit: unit}
}

// over is the target of several rounds: their median has to reach it.
func over(rounds []float64, one func(got float64) target) target {
	t := one(newSpread(rounds).Median)
	t.Rounds = rounds
	for _, got := range rounds {
		if one(got).Met {
			t.Reached++
		}
	}
	return t
}

// spread is from which round to which, and how many of them reach the target; empty
// without rounds.
func (t target) spread() (low, high, reached string) {
	if len(t.Rounds) == 0 {
		return "", "", ""
	}
	s := newSpread(t.Rounds)
	return t.value(s.Min), t.value(s.Max), fmt.Sprintf("%d of %d", t.Reached, len(t.Rounds))
}

// showTargets adds them to a table.
func showTargets(w io.Writer, all []target) {
	fmt.Fprintf(w, "target\t\twant\tgot\trounds\t\n")
	for _, t := range all {
		_, _, reached := t.spread()
		fmt.Fprintf(w, "%s\t\t%s\t%s\t%s\t%s\n", t.What, t.value(t.Want), t.value(t.Got), reached, met(t.Met))
	}
}

// What --strict makes of a target that is missed, and of a run that has none.
var (
	errMissed   = errors.New("a target is missed")
	errNoTarget = errors.New("no target is about what was measured")
)

// strictly is an error unless all of the targets are met, one at least.
func strictly(all []target) error {
	if len(all) == 0 {
		return errNoTarget
	}
	if slices.ContainsFunc(all, func(t target) bool { return !t.Met }) {
		return errMissed
	}
	return nil
}

// targets compares those cells that were measured with what they are to reach. One
// of which a request was not processed, or was to wait and did not get its outcome, has
// reached nothing.
func (r *results) targets() (all []target) {
	add := func(l *line, t target) {
		t.Met = t.Met && l.Unprocessed == 0 && l.Late == 0
		all = append(all, t)
	}
	least := func(what string, l *line, of func(*line) []float64, want float64) {
		if l != nil {
			add(l, over(of(l), func(got float64) target { return atLeast(what, got, want) }))
		}
	}
	most := func(what string, l *line, of func(*line) []float64, want float64) {
		if l != nil {
			add(l, over(of(l), func(got float64) target { return atMost(what, got, want, "ms") }))
		}
	}
	ratio := func(l *line) []float64 { return l.ratios(r.byCell[l.yardstick()]) }
	p50, p99 := func(f figure) float64 { return f.Latency.P50 }, func(f figure) float64 { return f.Latency.P99 }
	for _, t := range []struct {
		connections                       int
		flushed, replicated, asReplicated float64
	}{{64, 0.30, 0.35, 0.40}, {256, 0.45, 0.52, 0.60}, {512, 0.52, 0.60, 0.62}} {
		of := fmt.Sprintf("of the empty handler, %d connections", t.connections)
		l := load{Connections: t.connections, Wallets: 1}
		least("waited, flushed, "+of, r.byCell[cell{groupHot, flushed, l}], ratio, t.flushed)
		least("waited, replicated, "+of, r.byCell[cell{groupHot, replicated, l}], ratio, t.replicated)
		l.Async = true
		least("202, replicated, "+of, r.byCell[cell{groupHot, replicated, l}], ratio, t.asReplicated)
	}
	hot := load{Connections: 256, Wallets: 1}
	waited := r.byCell[cell{groupHot, flushed, hot}]
	for _, t := range []struct {
		rival string
		want  float64
	}{{rowLock, 20}, {atomicUpdate, 12}} {
		if rival := r.byCell[cell{groupHot, t.rival, hot}]; rival != nil && waited != nil {
			least("waited, flushed, 256 connections, times "+t.rival, waited, func(l *line) []float64 { return l.ratios(rival) }, t.want)
		}
	}
	least("1,000 wallets, waited, replicated, of the empty handler, 256 connections",
		r.byCell[cell{groupMany, replicated, load{Connections: manyConnections, Wallets: manyWallets}}], ratio, 0.45)
	least("cached balance, of the empty handler", r.byCell[cell{groupReads, flushed, load{Connections: readConnections, Wallets: 1, Reads: true}}], ratio, 0.55)
	least("bulk, flushed, of PostgreSQL itself", r.byCell[cell{groupBulk, flushed, load{Connections: bulkConnections, Wallets: 1, Bulk: bulkOperations}}], ratio, 0.7)
	for _, t := range []struct{ rate, p50, p99 float64 }{{1000, 3, 10}, {5000, 4, 20}} {
		l := r.byCell[cell{groupOpen, flushed, load{Rate: t.rate, Wallets: 1}}]
		most(fmt.Sprintf("%g/s on one wallet, p50", t.rate), l, func(l *line) []float64 { return l.each(p50) }, t.p50)
		most(fmt.Sprintf("%g/s on one wallet, p99", t.rate), l, func(l *line) []float64 { return l.each(p99) }, t.p99)
	}
	if bare := r.byCell[cell{groupHot, postgresItself, load{Connections: 1, Wallets: 1}}]; bare != nil {
		most("a lone request beyond a bare commit, p50", r.byCell[cell{groupHot, flushed, load{Connections: 1, Wallets: 1}}],
			func(l *line) []float64 { return differences(l.each(p50), bare.each(p50)) }, 2)
	}
	return all
}

// differences are between figures of the same round.
func differences(of, from []float64) []float64 {
	d := make([]float64, len(of))
	for i := range d {
		d[i] = of[i] - from[i]
	}
	return d
}
