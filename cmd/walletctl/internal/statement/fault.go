package statement

import (
	"fmt"
	"strings"
)

// Fault is one thing wrong with a file.
type Fault struct {
	Line   int    // from 1
	Column int    // from 1, in bytes, where the field begins; 0: the whole line
	Name   string // the column's header; empty: no column in particular
	Detail string
}

// String returns line:column: the column's name and the detail.
func (f Fault) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "line %d", f.Line)
	if f.Column > 0 {
		fmt.Fprintf(&s, ", column %d", f.Column)
	}
	if f.Name != "" {
		fmt.Fprintf(&s, " (%s)", f.Name)
	}
	return s.String() + ": " + f.Detail
}

// Faults is every fault of a file, in the order of its lines.
type Faults []Fault

// Error returns one fault a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}
