// Package deploy_test holds what is shipped beside the program to what the program
// has: metrics, runbooks, tests of the rules.
package deploy_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var metricName = regexp.MustCompile(`\bwalletd_[a-z0-9_]+`)

// declared are the names of all metrics in the program's source.
func declared(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, dir := range []string{"../internal", "../cmd/walletd"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if text, err := strconv.Unquote(lit.Value); err == nil && metricName.FindString(text) == text {
						names[text] = true
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	delete(names, "")
	return names
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// series takes the suffix off that a histogram's series have.
func series(names map[string]bool, name string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && names[base] {
			return base
		}
	}
	return name
}

func TestOnlyMetricsThatExistAreUsed(t *testing.T) {
	names := declared(t)
	if len(names) < 20 {
		t.Fatalf("only %d metrics found in the source", len(names))
	}
	for _, path := range []string{"grafana/walletd.json", "prometheus/alerts.yml", "prometheus/alerts_test.yml", "../docs/operations.md"} {
		for _, name := range metricName.FindAllString(read(t, path), -1) {
			if !names[series(names, name)] {
				t.Errorf("%s uses %s, which walletd does not have", path, name)
			}
		}
	}
}

func TestEveryMetricIsExplained(t *testing.T) {
	text := read(t, "../docs/operations.md")
	for name := range declared(t) {
		if !strings.Contains(text, "`"+name) {
			t.Errorf("docs/operations.md does not say what %s means", name)
		}
	}
}

var (
	alertName = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)
	runbook   = regexp.MustCompile(`(?m)^ +runbook: docs/operations\.md#([a-z]+)$`)
	heading   = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

func TestEveryAlertHasARunbookAndATest(t *testing.T) {
	rules, tests := read(t, "prometheus/alerts.yml"), read(t, "prometheus/alerts_test.yml")
	var anchors []string
	for _, h := range heading.FindAllStringSubmatch(read(t, "../docs/operations.md"), -1) {
		anchors = append(anchors, strings.ToLower(strings.ReplaceAll(h[1], " ", "-")))
	}
	alerts, books := alertName.FindAllStringSubmatch(rules, -1), runbook.FindAllStringSubmatch(rules, -1)
	if len(alerts) == 0 || len(alerts) != len(books) {
		t.Fatalf("%d alerts, %d runbooks", len(alerts), len(books))
	}
	for i, a := range alerts {
		if books[i][1] != strings.ToLower(a[1]) || !slices.Contains(anchors, books[i][1]) {
			t.Errorf("%s has its runbook at #%s, which docs/operations.md does not have", a[1], books[i][1])
		}
		if !strings.Contains(tests, `alertname="`+a[1]+`"`) {
			t.Errorf("no test has %s fire", a[1])
		}
	}
}

func TestTheDashboardIsWhole(t *testing.T) {
	var dashboard struct {
		Title  string
		Panels []struct {
			ID      int
			Type    string
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/walletd.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range dashboard.Panels {
		if seen[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d %q", p.ID, p.Title)
		}
		seen[p.ID] = true
	}
}
