//go:build containers

package compose_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const prometheus = "http://127.0.0.1:9090/api/v1"

// sample is one result of a query.
type sample struct {
	Metric map[string]string
	Value  []any
}

func query(t testing.TB, expr string) []sample {
	t.Helper()
	var answer struct{ Data struct{ Result []sample } }
	get(t, prometheus+"/query?query="+url.QueryEscape(expr), &answer)
	return answer.Data.Result
}

// observed: every replica is scraped, every rule evaluates, every panel of the
// dashboard shows something.
func (p *project) observed(t *testing.T) {
	p.startBench(t, "haproxy", "--duration", "5s").wait()
	eventually(t, 30*time.Second, "all targets are scraped", func() error {
		if up := query(t, "sum by (job) (up)"); fmt.Sprint(up) == "" || len(up) != 2 || len(query(t, "up == 1")) != 4 {
			return fmt.Errorf("%v", up)
		}
		return nil
	})
	for _, expr := range panels(t) {
		eventually(t, 60*time.Second, "a panel shows something: "+expr, func() error {
			if len(query(t, expr)) == 0 {
				return errors.New("nothing")
			}
			return nil
		})
	}
	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	get(t, prometheus+"/rules", &rules)
	n := 0
	for _, g := range rules.Data.Groups {
		for _, r := range g.Rules {
			n++
			if r.Health == "err" {
				t.Errorf("%s: %s", r.Name, r.LastError)
			}
		}
	}
	t.Logf("%d panels' queries, %d rules", len(panels(t)), n)
}

// panels returns the queries of the dashboard.
func panels(t testing.TB) (exprs []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "deploy/grafana/walletd.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			exprs = append(exprs, strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
		}
	}
	return exprs
}

// quiet: what happened is over, and the alerts with it.
func (p *project) quiet(t *testing.T) {
	eventually(t, 60*time.Second, "no alert fires", func() error {
		if firing := query(t, `ALERTS{alertstate="firing", alertname!~".*Disk.*"}`); len(firing) > 0 {
			return fmt.Errorf("%v", firing)
		}
		return nil
	})
	t.Logf("fired within the last 5 minutes: %v", query(t, `count by (alertname) (max_over_time(ALERTS{alertstate="firing"}[5m]))`))
}

// The rules and their tests, in the image that runs them.
func TestAlertRulesFireAndRest(t *testing.T) {
	dir, err := filepath.Abs(filepath.Join(root, "deploy/prometheus"))
	if err != nil {
		t.Fatal(err)
	}
	promtool := func(args ...string) {
		docker(t, append([]string{"run", "--rm", "--entrypoint", "promtool", "-v", dir + ":/rules:ro", "-w", "/rules", "prom/prometheus:v2.53.3"}, args...)...)
	}
	promtool("check", "config", "prometheus.yml", "cluster.yml")
	promtool("test", "rules", "alerts_test.yml")
}
