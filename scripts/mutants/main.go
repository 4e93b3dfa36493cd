// Mutants plants known defects in the money code, one at a time, and has the tests
// that are named for each catch it. The sources stay as they are: the go command
// gets the changed file as an overlay.
//
//	go run ./scripts/mutants [-json] [-j N] [name …]
//
// It ends with 1 if a defect survives a test that is named for it, no longer
// applies, or does not compile.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const plantedDir = "scripts/mutants/planted"

func main() {
	asJSON := flag.Bool("json", false, "print the results as JSON")
	jobs := flag.Int("j", 2, "defects tried at once")
	dir := flag.String("planted", plantedDir, "directory of the defects")
	flag.Parse()
	if err := run(*dir, flag.Args(), *jobs, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(dir string, names []string, jobs int, asJSON bool) error {
	all, err := load(dir, names)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	began := time.Now()
	if err := baseline(all, scratch, jobs); err != nil {
		return err
	}
	each(all, jobs, func(n int, m *mutant) {
		m.try(filepath.Join(scratch, m.Name))
		fmt.Fprintf(os.Stderr, "[%d/%d] %s: %s\n", n, len(all), m.Name, m.verdict())
	})
	if asJSON {
		err = json.NewEncoder(os.Stdout).Encode(all)
	} else {
		table(all, time.Since(began))
	}
	if slices.ContainsFunc(all, func(m *mutant) bool { return !m.Caught }) {
		err = errors.Join(err, errors.New("not every defect is caught"))
	}
	return err
}

// baseline runs the named tests on the sources as they are: a test that fails
// anyway catches nothing.
func baseline(all []*mutant, scratch string, jobs int) error {
	byPackage := map[string]*mutant{}
	for _, m := range all {
		for _, r := range m.Tests {
			b := byPackage[r.Package]
			if b == nil {
				b = &mutant{Name: "none in " + r.Package}
				byPackage[r.Package] = b
			}
			if !slices.ContainsFunc(b.Tests, func(o *result) bool { return o.Test == r.Test }) {
				b.Tests = append(b.Tests, &result{Package: r.Package, Test: r.Test})
			}
		}
	}
	plain := slices.SortedFunc(maps.Values(byPackage), func(a, b *mutant) int { return cmp.Compare(a.Name, b.Name) })
	var mu sync.Mutex
	var failed error
	each(plain, jobs, func(n int, b *mutant) {
		b.try(filepath.Join(scratch, fmt.Sprint("none", n)))
		fmt.Fprintf(os.Stderr, "[%d/%d] %s: %d tests\n", n, len(plain), b.Name, len(b.Tests))
		mu.Lock()
		defer mu.Unlock()
		for _, r := range b.Tests {
			if r.Outcome != survived {
				failed = errors.Join(failed, fmt.Errorf("%s %s does not pass without a defect: %s%s", r.Package, r.Test, b.Problem, r.output))
			}
		}
	})
	return failed
}

// each calls f for all, so many at a time, with the number of those that were begun.
func each(all []*mutant, jobs int, f func(n int, m *mutant)) {
	var running sync.WaitGroup
	free := make(chan struct{}, max(1, jobs))
	for i, m := range all {
		free <- struct{}{}
		running.Go(func() {
			defer func() { <-free }()
			f(i+1, m)
		})
	}
	running.Wait()
}

func table(all []*mutant, took time.Duration) {
	for _, m := range all {
		fmt.Printf("%-9s %s — %s\n", strings.ToUpper(m.verdict()), m.Name, m.Breaks)
		for _, r := range m.Tests {
			fmt.Printf("          %-9s %5.1f s  %s %s\n", r.Outcome, r.Seconds, r.Package, r.Test)
		}
		if m.Problem != "" {
			fmt.Printf("          %s\n", m.Problem)
		}
	}
	caught := len(slices.DeleteFunc(slices.Clone(all), func(m *mutant) bool { return !m.Caught }))
	fmt.Printf("%d of %d defects are caught, in %.0f s\n", caught, len(all), took.Seconds())
}
