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
	for _, of := range []struct {
		figure
		want error
	}{{figure{PerSecond: 50}, nil}, {figure{PerSecond: 50, Unprocessed: 1}, errMissed}, {figure{PerSecond: 50, Late: 1}, errMissed}, {figure{PerSecond: 29}, errMissed}} {
		r := newResults([]cell{hot, hot.yardstick()}, 1, 1)
		r.add(hot, of.figure)
		r.add(hot.yardstick(), figure{PerSecond: 100})
		r.finish()
		if err := strictly(r.Targets); !errors.Is(err, of.want) {
			t.Errorf("%+v: %v", of.figure, err)
		}
	}
	if err := strictly(nil); !errors.Is(err, errNoTarget) {
		t.Errorf("without a target: %v", err)
	}
}

// Each round is held against the empty handler of its own, and the median of all decides.
func TestRunsArePutTogetherByRounds(t *testing.T) {
	hot := cell{groupHot, flushed, load{Connections: 64, Wallets: 1}}
	run := func(figures ...[2]float64) *results {
		r := newResults([]cell{hot, hot.yardstick()}, len(figures), 1)
		for _, f := range figures {
			r.add(hot, figure{PerSecond: f[0]})
			r.add(hot.yardstick(), figure{PerSecond: f[1]})
		}
		r.finish()
		return r
	}
	all, err := together([]*results{run([2]float64{20, 100}, [2]float64{80, 200}), run([2]float64{36, 100})})
	if err != nil {
		t.Fatal(err)
	}
	got := all.Targets[0]
	low, high, reached := got.spread()
	if got.Got != 0.36 || !got.Met || low != "0.200" || high != "0.400" || reached != "2 of 3" || all.Rounds != 3 || all.Lines[0].ratio() != "0.36 (0.20–0.40)" {
		t.Errorf("%+v, %d rounds, ratio %s", got, all.Rounds, all.Lines[0].ratio())
	}
	other := newResults([]cell{hot}, 1, 1)
	other.add(hot, figure{PerSecond: 1})
	if _, err := together([]*results{run([2]float64{1, 2}), other}); !errors.Is(err, errOtherCells) {
		t.Errorf("runs of other cells were put together: %v", err)
	}
}

func TestNoTwoLinesOfAPlotLookTheSame(t *testing.T) {
	r := newResults(plan(nil, []int{64, 256, 512}), 1, 1)
	seen := map[string]string{}
	for _, s := range r.series(func(*line) float64 { return 1 }) {
		if look := s.Style.StrokeColor.String(); len(s.XValues) > 1 && seen[look] != "" {
			t.Errorf("%s is drawn as %s is", s.Name, seen[look])
		} else {
			seen[look] = s.Name
		}
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
