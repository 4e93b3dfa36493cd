package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// markdownCommand prints the tables of docs/performance.md.
type markdownCommand struct {
	Results []string `arg:"" type:"existingfile" help:"Of run --out; of several their rounds together."`
	Plots   string   `placeholder:"DIR" help:"Draw the plots there."`
}

// Run is kong's.
func (c *markdownCommand) Run() error {
	runs := make([]*results, len(c.Results))
	for i, path := range c.Results {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &runs[i]); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	r, err := together(runs)
	if err != nil {
		return err
	}
	r.markdown(os.Stdout)
	if c.Plots == "" {
		return nil
	}
	return r.plots(c.Plots)
}

func (r *results) markdown(w io.Writer) {
	fmt.Fprintf(w, "| load | connections | subject | applied/s | min–max | ratio | p50 ms | p99 ms | CPU µs per operation | MiB |\n|---|--:|---|--:|--:|--:|--:|--:|---|---|\n")
	var unprocessed, late int64
	for _, l := range r.Lines {
		unprocessed += l.Unprocessed
		late += l.Late
		latencies := "|"
		if l.P50.Median > 0 {
			latencies = fmt.Sprintf("%.2f | %.2f", l.P50.Median, l.P99.Median)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %.0f | %.0f–%.0f | %s | %s | %s | %s |\n", l.Group, l.loop(), l.name(), l.PerSecond.Median,
			l.PerSecond.Min, l.PerSecond.Max, l.ratio(), latencies, l.cpu(), l.memory())
	}
	fmt.Fprintf(w, "\nRequests not processed: %d. Requests that were to wait and were answered with 202: %d.\n", unprocessed, late)
	fmt.Fprintf(w, "\n| target | want | got | from | to | rounds that reach it | |\n|---|--:|--:|--:|--:|--:|---|\n")
	for _, t := range r.Targets {
		low, high, reached := t.spread()
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", t.What, t.value(t.Want), t.value(t.Got), low, high, reached,
			map[bool]string{true: "met", false: "missed"}[t.Met])
	}
}

// memory is what each process has resident; PostgreSQL's shared pages count in each
// of its processes, so its sum says nothing.
func (l *line) memory() string {
	var parts []string
	for _, p := range l.parts() {
		if mib, ok := l.RSSMiB[p]; ok && p != "postgres" {
			parts = append(parts, fmt.Sprintf("%s %d", p, mib))
		}
	}
	return strings.Join(parts, ", ")
}
