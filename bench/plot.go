package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/wcharczuk/go-chart/v2"
	"github.com/wcharczuk/go-chart/v2/drawing"
)

// colors are one for each line: those of the library come round after five.
var colors = []drawing.Color{
	drawing.ColorFromHex("7f7f7f"), drawing.ColorFromHex("d62728"), drawing.ColorFromHex("ff7f0e"), drawing.ColorFromHex("1f77b4"), drawing.ColorFromHex("2ca02c"),
	drawing.ColorFromHex("9467bd"), drawing.ColorFromHex("000000"), drawing.ColorFromHex("17becf"), drawing.ColorFromHex("e377c2"), drawing.ColorFromHex("bcbd22"),
}

// plots draws applied operations a second, and the p99, over the connections.
func (r *results) plots(dir string) error {
	if err := r.plot(filepath.Join(dir, "throughput.svg"), "applied/s, one wallet", func(l *line) float64 { return l.PerSecond.Median }); err != nil {
		return err
	}
	return r.plot(filepath.Join(dir, "p99.svg"), "p99 in ms, one wallet", func(l *line) float64 { return l.P99.Median })
}

func (r *results) plot(path, title string, of func(*line) float64) error {
	var lines []chart.ContinuousSeries
	for _, s := range r.series(of) {
		if len(s.XValues) > 1 {
			lines = append(lines, s)
		}
	}
	if len(lines) == 0 {
		return nil // nothing was measured with more than one number of connections
	}
	drawn := make([]chart.Series, len(lines))
	for i, l := range lines {
		drawn[i] = l
	}
	c := chart.Chart{Title: title, Width: 900, Height: 500, Background: chart.Style{Padding: chart.Box{Top: 50, Left: 180}},
		XAxis: chart.XAxis{Name: "connections", Ticks: ticksOf(lines)}, YAxis: chart.YAxis{Name: title, ValueFormatter: whole}, Series: drawn}
	c.Elements = []chart.Renderable{chart.LegendLeft(&c)}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return c.Render(chart.SVG, file)
}

// ticksOf are at the connections that were measured.
func ticksOf(lines []chart.ContinuousSeries) (all []chart.Tick) {
	for _, l := range lines {
		for _, x := range l.XValues {
			if t := (chart.Tick{Value: x, Label: whole(x)}); !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	slices.SortFunc(all, func(a, b chart.Tick) int { return cmp.Compare(a.Value, b.Value) })
	return all
}

func whole(v any) string { return fmt.Sprintf("%.0f", v) }

func (r *results) series(of func(*line) float64) (all []chart.ContinuousSeries) {
	at := map[string]int{}
	for _, l := range r.Lines {
		if l.Group != groupHot {
			continue
		}
		i, known := at[l.name()]
		if !known {
			i, at[l.name()] = len(all), len(all)
			all = append(all, chart.ContinuousSeries{Name: l.name(), Style: chart.Style{StrokeColor: colors[i%len(colors)], StrokeWidth: 2}})
		}
		all[i].XValues, all[i].YValues = append(all[i].XValues, float64(l.Connections)), append(all[i].YValues, of(l))
	}
	return all
}
