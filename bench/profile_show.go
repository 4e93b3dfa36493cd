package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
)

// showProfiles prints the tables as a document has them.
func showProfiles(w io.Writer, all []*profile) error {
	t := table{Writer: w}
	t.begin("µs of CPU an operation, by process", each(all, (*profile).title))
	t.row("operations a second", each(all, func(p *profile) string { return fmt.Sprintf("%.0f", p.perSecond) }))
	for _, process := range append(slices.Clone(processes), others) {
		t.row(process, each(all, func(p *profile) string { return p.cost(p.processes[process]) }))
	}
	t.row("all", each(all, func(p *profile) string { return p.cost(p.samples) }))
	t.row(fmt.Sprintf("idle, of %d processors", runtime.NumCPU()), each(all, func(p *profile) string { return fmt.Sprintf("%.2f", float64(runtime.NumCPU())-p.processors(p.samples)) }))
	t.begin("µs of CPU an operation, in the service", each(all, (*profile).title))
	for _, part := range partOrder {
		t.row(part, each(all, func(p *profile) string { return p.cost(p.parts[part]) }))
	}
	t.row("all", each(all, func(p *profile) string { return p.cost(p.processes[service]) }))
	for _, p := range all {
		t.begin(p.title()+": functions by themselves", []string{"% of the service"})
		for _, f := range p.top(topFunctions) {
			t.row("`"+f+"`", []string{fmt.Sprintf("%.1f", 100*float64(p.functions[f])/float64(p.processes[service]))})
		}
	}
	return t.err
}

func each(all []*profile, cell func(*profile) string) (cells []string) {
	for _, p := range all {
		cells = append(cells, cell(p))
	}
	return cells
}

func (p *profile) title() string { return fmt.Sprintf("%s, %s, %s", p.Group, p.loop(), p.name()) }

// processors is how many of them so many samples have kept busy.
func (p *profile) processors(samples int) float64 {
	return float64(samples) / (sampleRate * p.looked.Seconds())
}

// cost is so many samples in µs per operation.
func (p *profile) cost(samples int) string {
	return fmt.Sprintf("%.1f", 1e6*p.processors(samples)/p.perSecond)
}

// top returns the functions in which the service was found most.
func (p *profile) top(n int) []string {
	all := slices.SortedFunc(maps.Keys(p.functions), func(x, y string) int {
		return cmp.Or(cmp.Compare(p.functions[y], p.functions[x]), cmp.Compare(x, y))
	})
	return all[:min(n, len(all))]
}

// table writes those of a document, one after the other.
type table struct {
	io.Writer
	err error
}

func (t *table) begin(title string, columns []string) {
	_, err := fmt.Fprintln(t)
	t.err = cmp.Or(t.err, err)
	t.row(title, columns)
	t.row("---", slices.Repeat([]string{"--:"}, len(columns)))
}

func (t *table) row(name string, cells []string) {
	_, err := fmt.Fprintf(t, "| %s | %s |\n", name, strings.Join(cells, " | "))
	t.err = cmp.Or(t.err, err)
}
