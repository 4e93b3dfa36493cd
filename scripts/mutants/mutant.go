package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is a planted defect.
type mutant struct {
	Name    string    `json:"name"`
	Breaks  string    `json:"breaks"` // what goes wrong with it, in a sentence
	File    string    `json:"file"`
	Tests   []*result `json:"tests"` // each of which has to catch it
	Caught  bool      `json:"caught"`
	Problem string    `json:"problem,omitempty"` // why it could not be tried

	changes []change
}

// change replaces a passage that is in the file exactly once.
type change struct{ old, new string }

// load reads the named defects, or all of them.
func load(dir string, names []string) ([]*mutant, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []*mutant
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".txt")
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		m, err := parse(name, string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		all = append(all, m)
	}
	if len(all) < max(1, len(names)) {
		return nil, fmt.Errorf("%d defects in %s, asked for %v", len(all), dir, names)
	}
	return all, nil
}

// parse reads a defect: lines "breaks: …", "file: …" and "test: package name …",
// then passages, each "--- old", its lines, "--- new", its lines.
func parse(name, text string) (*mutant, error) {
	head, rest, _ := strings.Cut(text, "--- old\n")
	m := &mutant{Name: name}
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "breaks":
			m.Breaks = value
		case "file":
			m.File = value
		case "test":
			pkg, test, _ := strings.Cut(value, " ")
			m.Tests = append(m.Tests, &result{Package: pkg, Test: test})
		case "":
		default:
			return nil, fmt.Errorf("what is %q?", line)
		}
	}
	for passage := range strings.SplitSeq(rest, "--- old\n") {
		old, replacement, ok := strings.Cut(passage, "--- new\n")
		if !ok {
			return nil, fmt.Errorf("a passage has no %q", "--- new")
		}
		m.changes = append(m.changes, change{strings.TrimSuffix(old, "\n"), strings.TrimSuffix(replacement, "\n")})
	}
	if m.Breaks == "" || m.File == "" || len(m.Tests) == 0 {
		return nil, fmt.Errorf("breaks, file or test is missing")
	}
	return m, nil
}

// apply returns the file with the defect in it.
func (m *mutant) apply() (string, error) {
	source, err := os.ReadFile(m.File)
	if err != nil {
		return "", err
	}
	text := string(source)
	for _, c := range m.changes {
		if n := strings.Count(text, c.old); n != 1 {
			return "", fmt.Errorf("%s has this passage %d times:\n%s", m.File, n, c.old)
		}
		text = strings.Replace(text, c.old, c.new, 1)
	}
	return text, nil
}
