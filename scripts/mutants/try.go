package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// result is what one test made of a defect.
type result struct {
	Package string  `json:"package"`
	Test    string  `json:"test"` // its name, and flags
	Outcome string  `json:"outcome"`
	Seconds float64 `json:"seconds"` // that the test ran, without compiling

	output string
}

const (
	caught   = "caught"
	survived = "survived"
	broken   = "broken" // it could not be tried
)

// The bounds of what go is asked for.
const (
	compileTimeout = 5 * time.Minute
	testTimeout    = 5 * time.Minute
)

// try compiles the defect into the packages of its tests and runs these.
func (m *mutant) try(dir string) {
	overlay, err := m.overlay(dir)
	binaries := map[string]string{}
	m.Caught = err == nil
	for _, r := range m.Tests {
		r.Outcome = broken
		if binaries[r.Package] == "" && err == nil {
			binaries[r.Package] = filepath.Join(dir, fmt.Sprintf("%d.test", len(binaries)))
			err = compile(r.Package, overlay, binaries[r.Package])
		}
		if err == nil {
			err = r.run(binaries[r.Package])
		}
		m.Caught = m.Caught && r.Outcome == caught
	}
	if err != nil {
		m.Problem = strings.TrimSpace(err.Error())
	}
	os.RemoveAll(dir)
}

func (m *mutant) verdict() string {
	switch {
	case m.Problem != "":
		return broken
	case m.Caught:
		return caught
	}
	return survived
}

// overlay writes the changed file and the list by which go takes it for the real one.
func (m *mutant) overlay(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	replace := map[string]string{}
	if m.File != "" {
		text, err := m.apply()
		if err != nil {
			return "", err
		}
		real, err := filepath.Abs(m.File)
		if err != nil {
			return "", err
		}
		replace[real] = filepath.Join(dir, "mutant.go")
		if err := os.WriteFile(replace[real], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, list, 0o600)
}

func compile(pkg, overlay, binary string) error {
	ctx, cancel := context.WithTimeout(context.Background(), compileTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", overlay, "-o", binary, pkg).CombinedOutput()
	if err != nil {
		return fmt.Errorf("it does not compile: %w: %s", err, out)
	}
	return nil
}

// run runs the test; an error says that there is no such test, or no binary.
func (r *result) run(binary string) error {
	name, flags, _ := strings.Cut(r.Test, " ")
	args := append([]string{"-test.run", "^" + name + "$", "-test.v", "-test.timeout", testTimeout.String()}, strings.Fields(flags)...)
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = r.Package
	began := time.Now()
	out, err := cmd.CombinedOutput()
	r.Seconds, r.output = time.Since(began).Seconds(), string(out)
	var failed *exec.ExitError
	switch {
	case !strings.Contains(r.output, "=== RUN   "+name):
		return fmt.Errorf("%s has no test %s", r.Package, name)
	case err == nil:
		r.Outcome = survived
	case errors.As(err, &failed):
		r.Outcome = caught
	default:
		return err
	}
	return nil
}
