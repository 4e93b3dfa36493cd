package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// results are all figures of a run.
type results struct {
	At      time.Time `json:"at"`
	Cores   int       `json:"cores"`
	Seconds float64   `json:"seconds"`
	Rounds  int       `json:"rounds"`
	Lines   []*line   `json:"lines"`
	Targets []target  `json:"targets"`

	byCell map[cell]*line
}

// line is one cell's figures over the rounds.
type line struct {
	cell
	PerSecond   spread             `json:"perSecond"`
	Ratio       *spread            `json:"ratio,omitempty"` // to the yardstick of the same round
	P50         spread             `json:"p50Ms"`
	P99         spread             `json:"p99Ms"`
	CPUMicros   map[string]float64 `json:"cpuMicros"` // medians
	RSSMiB      map[string]int64   `json:"rssMiB"`    // the last round's
	Unprocessed int64              `json:"unprocessed"`
	Late        int64              `json:"late"`
	Figures     []figure           `json:"figures"` // of each round
}

// spread is a median and its extremes.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func newSpread(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	return spread{(v[(len(v)-1)/2] + v[len(v)/2]) / 2, v[0], v[len(v)-1]}
}

func newResults(cells []cell, rounds int, d time.Duration) *results {
	r := &results{At: time.Now().UTC(), Cores: runtime.NumCPU(), Seconds: d.Seconds(), Rounds: rounds, byCell: map[cell]*line{}}
	for _, c := range cells {
		l := &line{cell: c}
		r.Lines, r.byCell[c] = append(r.Lines, l), l
	}
	return r
}

func (r *results) add(c cell, f figure) { r.byCell[c].Figures = append(r.byCell[c].Figures, f) }

// finish computes medians, ratios and targets.
func (r *results) finish() {
	for _, l := range r.Lines {
		l.PerSecond, l.P50, l.P99 = l.spread(func(f figure) float64 { return f.PerSecond }),
			l.spread(func(f figure) float64 { return f.Latency.P50 }), l.spread(func(f figure) float64 { return f.Latency.P99 })
		l.CPUMicros, l.RSSMiB = map[string]float64{}, l.Figures[len(l.Figures)-1].RSSMiB
		for part := range l.Figures[0].CPUMicros {
			l.CPUMicros[part] = l.spread(func(f figure) float64 { return f.CPUMicros[part] }).Median
		}
		for _, f := range l.Figures {
			l.Unprocessed += f.Unprocessed
			l.Late += f.Late
		}
		if ratios := l.ratios(r.byCell[l.yardstick()]); len(ratios) > 0 {
			l.Ratio = new(newSpread(ratios))
		}
	}
	r.Targets = append([]target{}, r.targets()...) // for programs, also if there are none
}

// each is of each round.
func (l *line) each(of func(figure) float64) []float64 {
	values := make([]float64, len(l.Figures))
	for i, f := range l.Figures {
		values[i] = of(f)
	}
	return values
}

func (l *line) spread(of func(figure) float64) spread { return newSpread(l.each(of)) }

// ratios are to figures of the same round; none without a yardstick.
func (l *line) ratios(to *line) []float64 {
	if to == nil || to == l {
		return nil
	}
	values := make([]float64, len(l.Figures))
	for i := range values {
		values[i] = l.Figures[i].PerSecond / to.Figures[i].PerSecond
	}
	return values
}

// ratio is the ratio's median with its extremes; empty without a yardstick.
func (l *line) ratio() string {
	if l.Ratio == nil {
		return ""
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", l.Ratio.Median, l.Ratio.Min, l.Ratio.Max)
}

// errOtherCells is why runs are not put together.
var errOtherCells = errors.New("they have not measured the same")

// together are the rounds of several runs of the same cells, as those of one.
func together(runs []*results) (*results, error) {
	all := *runs[0]
	all.byCell = map[cell]*line{}
	for _, l := range all.Lines {
		all.byCell[l.cell] = l
	}
	for _, run := range runs[1:] {
		if len(run.Lines) != len(all.Lines) {
			return nil, errOtherCells
		}
		all.Rounds += run.Rounds
		for _, more := range run.Lines {
			l := all.byCell[more.cell]
			if l == nil {
				return nil, errOtherCells
			}
			l.Figures = append(l.Figures, more.Figures...)
		}
	}
	for _, l := range all.Lines {
		if len(l.Figures) != all.Rounds {
			return nil, errOtherCells
		}
		l.Unprocessed, l.Late = 0, 0 // counted again
	}
	all.finish()
	return &all, nil
}

// parts are the processes of a line, in the order of the table.
func (l *line) parts() []string {
	return slices.DeleteFunc(slices.Clone(processes), func(p string) bool { _, known := l.CPUMicros[p]; return !known })
}

// The least that a smoke run accepts: a tenth of what is usual.
const smokeRatio = 0.04

// collapsed is the error of a smoke run that is far from anything usual.
func (r *results) collapsed() error {
	var errs []error
	for _, l := range r.Lines {
		if l.Group == groupHot && (l.Subject == flushed || l.Subject == replicated) && l.Ratio != nil && l.Ratio.Median < smokeRatio {
			errs = append(errs, fmt.Errorf("%s with %s connections: %.3f of the empty handler, less than %.2f", l.name(), l.loop(), l.Ratio.Median, smokeRatio))
		}
		if l.Unprocessed > 0 && l.Subject != rowLock && l.Subject != atomicUpdate {
			errs = append(errs, fmt.Errorf("%s %s %s: %d requests were not processed", l.Group, l.loop(), l.name(), l.Unprocessed))
		}
	}
	return errors.Join(errs...)
}
