package main

import (
	"errors"
	"slices"
	"testing"
)

func TestComparedCellsChangeTheirOrderEachRound(t *testing.T) {
	cells := plan(nil, []int{1, 64})
	if got := inTurn(cells, 0); !slices.Equal(got, cells) {
		t.Errorf("first round: %v", got)
	}
	second := inTurn(cells, 1)
	from := 0
	for from < len(cells) {
		to := from + 1
		for to < len(cells) && cells[to].Group == cells[from].Group && cells[to].loop() == cells[from].loop() {
			to++
		}
		turned := slices.Clone(second[from:to])
		slices.Reverse(turned)
		if !slices.Equal(turned, cells[from:to]) {
			t.Errorf("%s, %s: %v", cells[from].Group, cells[from].loop(), second[from:to])
		}
		from = to
	}
	if slices.Equal(second, cells) {
		t.Error("nothing has changed its place")
	}
}

func TestATargetIsNotMetByWhatWasNotProcessed(t *testing.T) {
	hot := cell{groupHot, flushed, load{Connections: 64, Wallets: 1}}
	for unprocessed, want := range map[int64]error{0: nil, 1: errMissed} {
		r := newResults([]cell{hot, hot.yardstick()}, 1, 1)
		r.add(hot, figure{PerSecond: 50, Unprocessed: unprocessed})
		r.add(hot.yardstick(), figure{PerSecond: 100})
		r.finish()
		if err := strictly(r.Targets); !errors.Is(err, want) {
			t.Errorf("%d not processed: %v", unprocessed, err)
		}
	}
	if err := strictly(nil); !errors.Is(err, errNoTarget) {
		t.Errorf("without a target: %v", err)
	}
}

func TestACurveHasPointsThatAscend(t *testing.T) {
	for _, c := range []struct {
		operations []int
		ok         bool
	}{{[]int{0, 1000}, true}, {[]int{0, 5, 9}, true}, {[]int{1000}, false}, {nil, false}, {[]int{5, 5}, false}, {[]int{9, 5}, false}, {[]int{-1, 5}, false}} {
		g := growthCommand{Seconds: 1, Backlog: 1, Operations: c.operations, Wallets: []int{1, 2}}
		if err := g.Validate(); (err == nil) != c.ok {
			t.Errorf("%v: %v", c.operations, err)
		}
	}
}
