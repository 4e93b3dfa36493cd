package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// show prints the table, or JSON, and writes the files that were asked for.
func (c *runCommand) show(r *results) error {
	r.finish()
	if c.Out != "" {
		if err := r.write(c.Out); err != nil {
			return err
		}
	}
	if c.JSON {
		return r.encode(os.Stdout)
	}
	return r.table(os.Stdout)
}

func (r *results) encode(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (r *results) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(dir, "results.json"))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := r.encode(file); err != nil {
		return err
	}
	return r.plots(dir)
}

func (r *results) table(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "load\tconnections\tsubject\tapplied/s\tmin–max\tratio\tp50 ms\tp99 ms\tCPU µs per operation\tMiB\tnot processed\tlate\n")
	for _, l := range r.Lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%.0f\t%.0f–%.0f\t%s\t%.2f\t%.2f\t%s\t%s\t%d\t%d\n", l.Group, l.loop(), l.name(), l.PerSecond.Median,
			l.PerSecond.Min, l.PerSecond.Max, l.ratio(), l.P50.Median, l.P99.Median, l.cpu(), l.memory(), l.Unprocessed, l.Late)
	}
	fmt.Fprintln(w)
	showTargets(w, r.Targets)
	fmt.Fprintf(w, "\n%d cores for everything, the loader included; medians of %d rounds of %g s; ratios are of the same round\n", r.Cores, r.Rounds, r.Seconds)
	return w.Flush()
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "MISSED"
}

func (t target) value(v float64) string {
	switch {
	case t.Unit != "":
		return fmt.Sprintf("%.2f %s", v, t.Unit)
	case v < 1:
		return fmt.Sprintf("%.3f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func (l *line) cpu() string {
	var parts []string
	for _, p := range l.parts() {
		parts = append(parts, fmt.Sprintf("%s %.0f", p, l.CPUMicros[p]))
	}
	return strings.Join(parts, ", ")
}
