package config

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// variablesOf lists the variables of a configuration struct by its tags.
func variablesOf(t reflect.Type, begin string) (names []string) {
	for f := range t.Fields() {
		if p, ok := f.Tag.Lookup("envPrefix"); ok {
			names = append(names, variablesOf(f.Type, begin+p)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		names = append(names, begin+name)
	}
	return names
}

// explained reads the committed file: its variables, each with whether its block
// of lines begins with a comment. A heading (# ---) explains nothing.
func explained(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	found, comment := map[string]bool{}, false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		name, _, isVariable := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "# ---"):
			comment = false
		case strings.HasPrefix(line, "#"):
			comment = true
		case isVariable:
			if _, twice := found[name]; twice {
				t.Errorf("%s is there twice", name)
			}
			found[name] = comment
		default:
			t.Errorf("%q is neither a comment nor a variable", line)
		}
	}
	return found
}

func TestEveryVariableIsInTheCommittedFileAndExplained(t *testing.T) {
	found := explained(t)
	for _, name := range variablesOf(reflect.TypeFor[Config](), "") {
		comment, ok := found[name]
		switch {
		case !ok:
			t.Errorf("%s is not in config.env", name)
		case !comment:
			t.Errorf("%s is not explained: no comment above its lines", name)
		}
	}
}

func TestCommittedFileHasNoVariableThatNobodyReads(t *testing.T) {
	known := variablesOf(reflect.TypeFor[Config](), "")
	for name := range explained(t) {
		if !slices.Contains(known, name) {
			t.Errorf("%s is read by nobody", name)
		}
	}
}
