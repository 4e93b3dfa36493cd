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
}

func atLeast(what string, got, want float64) target { return target{what, want, got, got >= want, ""} }

func atMost(what string, got, want float64, unit string) target {
	return target{what, want, got, got <= want, unit}
}

// showTargets adds them to a table.
func showTargets(w io.Writer, all []target) {
	fmt.Fprintf(w, "target\t\twant\tgot\t\n")
	for _, t := range all {
		fmt.Fprintf(w, "%s\t\t%s\t%s\t%s\n", t.What, t.value(t.Want), t.value(t.Got), met(t.Met))
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
// of which a request was not processed has reached nothing.
func (r *results) targets() (all []target) {
	add := func(l *line, t target) {
		t.Met = t.Met && l.Unprocessed == 0
		all = append(all, t)
	}
	least := func(what string, l *line, of func(*line) float64, want float64) {
		if l != nil {
			add(l, atLeast(what, of(l), want))
		}
	}
	most := func(what string, l *line, of func(*line) float64, want float64) {
		if l != nil {
			add(l, atMost(what, of(l), want, "ms"))
		}
	}
	ratio := func(l *line) float64 {
		if l.Ratio == nil {
			return 0
		}
		return l.Ratio.Median
	}
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
			least("waited, flushed, 256 connections, times "+t.rival, waited, func(l *line) float64 { return r.ratio(l, rival).Median }, t.want)
		}
	}
	least("1,000 wallets, waited, replicated, of the empty handler, 256 connections",
		r.byCell[cell{groupMany, replicated, load{Connections: manyConnections, Wallets: manyWallets}}], ratio, 0.45)
	least("cached balance, of the empty handler", r.byCell[cell{groupReads, flushed, load{Connections: readConnections, Wallets: 1, Reads: true}}], ratio, 0.55)
	least("bulk, flushed, of PostgreSQL itself", r.byCell[cell{groupBulk, flushed, load{Connections: bulkConnections, Wallets: 1, Bulk: bulkOperations}}], ratio, 0.7)
	for _, t := range []struct{ rate, p50, p99 float64 }{{1000, 3, 10}, {5000, 4, 20}} {
		l := r.byCell[cell{groupOpen, flushed, load{Rate: t.rate, Wallets: 1}}]
		most(fmt.Sprintf("%g/s on one wallet, p50", t.rate), l, func(l *line) float64 { return l.P50.Median }, t.p50)
		most(fmt.Sprintf("%g/s on one wallet, p99", t.rate), l, func(l *line) float64 { return l.P99.Median }, t.p99)
	}
	if bare := r.byCell[cell{groupHot, postgresItself, load{Connections: 1, Wallets: 1}}]; bare != nil {
		most("a lone request beyond a bare commit, p50", r.byCell[cell{groupHot, flushed, load{Connections: 1, Wallets: 1}}],
			func(l *line) float64 { return l.P50.Median - bare.P50.Median }, 2)
	}
	return all
}
