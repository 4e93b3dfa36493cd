package main

import (
	"os"
	"path/filepath"

	"github.com/wcharczuk/go-chart/v2"
)

// plots draws applied operations a second, and the p99, over the connections.
func (r *results) plots(dir string) error {
	if err := r.plot(filepath.Join(dir, "throughput.svg"), "applied/s, one wallet", func(l *line) float64 { return l.PerSecond.Median }); err != nil {
		return err
	}
	return r.plot(filepath.Join(dir, "p99.svg"), "p99 in ms, one wallet", func(l *line) float64 { return l.P99.Median })
}

func (r *results) plot(path, title string, of func(*line) float64) error {
	var lines []chart.Series
	for _, s := range r.series(of) {
		if len(s.XValues) > 1 {
			lines = append(lines, s)
		}
	}
	if len(lines) == 0 {
		return nil // nothing was measured with more than one number of connections
	}
	c := chart.Chart{Title: title, Width: 900, Height: 500, Background: chart.Style{Padding: chart.Box{Top: 50, Left: 180}},
		XAxis: chart.XAxis{Name: "connections"}, YAxis: chart.YAxis{Name: title}, Series: lines}
	c.Elements = []chart.Renderable{chart.LegendLeft(&c)}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return c.Render(chart.SVG, file)
}

func (r *results) series(of func(*line) float64) (all []chart.ContinuousSeries) {
	at := map[string]int{}
	for _, l := range r.Lines {
		if l.Group != groupHot {
			continue
		}
		i, known := at[l.name()]
		if !known {
			i, at[l.name()] = len(all), len(all)
			all = append(all, chart.ContinuousSeries{Name: l.name(), Style: chart.Style{StrokeColor: chart.GetDefaultColor(i), StrokeWidth: 2}})
		}
		all[i].XValues, all[i].YValues = append(all[i].XValues, float64(l.Connections)), append(all[i].YValues, of(l))
	}
	return all
}
