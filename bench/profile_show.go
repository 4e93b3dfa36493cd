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

// processOrder is the order of the table.
var processOrder = []string{loader, "service", "kafka", "postgres", "redis", others}

// showProfiles prints the tables as a document has them.
func showProfiles(w io.Writer, all []*profile) error {
	t := table{Writer: w}
	t.row("µs of CPU an operation, by process", each(all, (*profile).title))
	t.rule(len(all))
	t.row("operations a second", each(all, func(p *profile) string { return fmt.Sprintf("%.0f", p.perSecond) }))
	for _, process := range processOrder {
		t.row(process, each(all, func(p *profile) string { return p.cost(p.processes[process]) }))
	}
	t.row("all", each(all, func(p *profile) string { return p.cost(p.busy()) }))
	t.row(fmt.Sprintf("idle, of %d processors", runtime.NumCPU()), each(all, func(p *profile) string { return fmt.Sprintf("%.2f", p.idle) }))
	t.row("\nµs of CPU an operation, in the service", each(all, (*profile).title))
	t.rule(len(all))
	for _, part := range partOrder {
		t.row(part, each(all, func(p *profile) string { return p.cost(p.parts[part]) }))
	}
	t.row("all", each(all, func(p *profile) string { return p.cost(p.service) }))
	for _, p := range all {
		t.row("\n"+p.title()+": functions by themselves", []string{"% of the service"})
		t.rule(1)
		for _, f := range p.top(topOfFunction) {
			t.row("`"+f+"`", []string{fmt.Sprintf("%.1f", 100*float64(p.functions[f])/float64(p.service))})
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

// cost is so many samples in µs per operation.
func (p *profile) cost(samples int) string { return fmt.Sprintf("%.1f", float64(samples)*p.micros) }

func (p *profile) busy() (sum int) {
	for _, n := range p.processes {
		sum += n
	}
	return sum
}

// top returns the functions in which the service was found most.
func (p *profile) top(n int) []string {
	all := slices.SortedFunc(maps.Keys(p.functions), func(x, y string) int {
		return cmp.Or(cmp.Compare(p.functions[y], p.functions[x]), cmp.Compare(x, y))
	})
	return all[:min(n, len(all))]
}

// table is one of a document.
type table struct {
	io.Writer
	err error
}

func (t *table) row(name string, cells []string) {
	before := name[:len(name)-len(strings.TrimLeft(name, "\n"))]
	_, err := fmt.Fprintf(t, "%s| %s | %s |\n", before, strings.TrimLeft(name, "\n"), strings.Join(cells, " | "))
	t.err = cmp.Or(t.err, err)
}

func (t *table) rule(columns int) {
	_, err := fmt.Fprintf(t, "|---%s|\n", strings.Repeat("|--:", columns))
	t.err = cmp.Or(t.err, err)
}
