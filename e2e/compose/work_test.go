//go:build containers

package compose_test

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// workBetween is how many requests are answered before the next fault.
const workBetween = 3_000

// ordinaryWork waits until they are, by the counters of who answers them.
func ordinaryWork(t testing.TB, counters func(testing.TB) map[string]float64) {
	t.Helper()
	requests := func() float64 {
		n := counters(t)
		return n["haproxy_backend_http_requests_total"] + n["walletd_http_requests_total"]
	}
	until := requests() + workBetween
	eventually(t, patience, "the load goes on", func() error {
		if n := requests(); n < until {
			return fmt.Errorf("%.0f requests more", until-n)
		}
		return nil
	})
}

// haproxy are the counters of the cluster's proxy for its replicas, by name.
func haproxy(t testing.TB) map[string]float64 {
	t.Helper()
	return scrape(t, "http://127.0.0.1:8404/metrics", `proxy="replicas"`)
}

// app are those of the only replica for what changes something.
func app(t testing.TB) map[string]float64 {
	t.Helper()
	return scrape(t, "http://127.0.0.1:8082/metrics", `method="POST"`)
}

// scrape sums the samples of each name whose labels contain a text.
func scrape(t testing.TB, url, labelled string) map[string]float64 {
	t.Helper()
	body := open(t, url)
	defer body.Close()
	sums := map[string]float64{}
	for lines := bufio.NewScanner(body); lines.Scan(); {
		sample, value, _ := strings.Cut(lines.Text(), " ")
		if name, labels, _ := strings.Cut(sample, "{"); strings.Contains(labels, labelled) {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatalf("%s: %v", sample, err)
			}
			sums[name] += n
		}
	}
	return sums
}
