//go:build chaos

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// row is what came of one fault.
type row struct {
	Fault string `json:"fault"`
	Sent  int    `json:"sent"`

	Outcomes int `json:"outcomes"` // 200 and 422
	Pending  int `json:"pending"`  // 202
	Limited  int `json:"limited"`  // 429
	Refusals int `json:"refusals"` // other 4xx
	Errors   int `json:"errors"`   // 5xx
	NoAnswer int `json:"noAnswer"`
	NotSent  int `json:"notSent"`

	Refused int64 `json:"refused"` // tries that were repeated elsewhere
	Reset   int64 `json:"reset"`
	Timeout int64 `json:"timeout"`
	Reads   int64 `json:"reads"`
	Stale   int   `json:"stale"` // plain reads older than what was told, which is allowed without Redis

	Silence  time.Duration `json:"longestSilenceNs"`
	Slowest  time.Duration `json:"slowestNs"`
	Recovery time.Duration `json:"recoveryNs"`
	Took     time.Duration `json:"tookNs"`
	Pressure int           `json:"cpuPressurePercent"` // of the time something waited for a processor
	Also     string        `json:"also"`               // components that were silent without having been struck: the machine was too busy
	Verdict  string        `json:"verdict"`

	began  time.Time
	healed time.Time // when it was as before
}

// count counts the last answers of all requests.
func (r *row) count(load *storm) {
	r.Sent, r.NotSent, r.Silence = len(load.sends), load.skipped, load.pulse.silence()
	r.Refused, r.Reset, r.Timeout = load.refused.Load(), load.reset.Load(), load.timeout.Load()
	r.Reads, r.Stale = load.reads.Load(), len(load.stale)
	for _, x := range load.sends {
		r.Slowest = max(r.Slowest, x.end.Sub(x.sent))
		switch code := x.answer.code; {
		case x.answer.err != nil:
			r.NoAnswer++
		case code == http.StatusOK, code == http.StatusUnprocessableEntity:
			r.Outcomes++
		case code == http.StatusAccepted:
			r.Pending++
		case code == http.StatusTooManyRequests:
			r.Limited++
		case code >= http.StatusInternalServerError:
			r.Errors++
		default:
			r.Refusals++
		}
	}
}

// report is the rows of a run.
type report struct {
	Seed   uint64 `json:"seed"`
	Rate   int    `json:"rate"`
	Others int    `json:"others"`
	Rows   []*row `json:"rows"`
}

func (r *report) add(t *testing.T, row *row) {
	if row.Verdict == "" {
		row.Verdict = "kept"
	}
	if t.Failed() {
		row.Verdict = "BROKEN"
	}
	if row.Also != "" {
		row.Verdict += "; on a busy machine" + row.Also
	}
	row.Took = time.Since(row.began)
	r.Rows = append(r.Rows, row)
	r.write(t)
	fmt.Fprintf(os.Stderr, "chaos: %s: %s, %d sent, recovered %s after, took %s, CPU pressure %d %%\n", row.Fault, row.Verdict, row.Sent, round(row.Recovery), round(row.Took), row.Pressure)
}

// writeLogs writes what the replicas have logged so far, if it is asked for.
func (r *rig) writeLogs(t *testing.T) {
	if *chaosLogs == "" {
		return
	}
	if err := os.MkdirAll(*chaosLogs, 0o755); err != nil {
		t.Error(err)
	}
	for _, replica := range r.replicas {
		var text strings.Builder
		for _, l := range replica.lives {
			text.WriteString(l.output())
		}
		name := fmt.Sprintf("%d-brokers-%s.log", len(r.brokerProcesses), replica.name)
		if err := os.WriteFile(filepath.Join(*chaosLogs, name), []byte(text.String()), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// show writes the table for people.
func (r *report) show() {
	var text strings.Builder
	fmt.Fprintf(&text, "\nseed %d, %d requests/s on one wallet and %d/s on %d others\n\n", r.Seed, r.Rate, r.Others, manyWallets)
	fmt.Fprintln(&text, "| fault | sent | 2xx/422 | 202 | 429 | 4xx | 5xx | no answer | tried again | longest silence | recovery | verdict |")
	fmt.Fprintln(&text, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|")
	for _, x := range r.Rows {
		fmt.Fprintf(&text, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %s | %s | %s |\n", x.Fault, x.Sent, x.Outcomes, x.Pending, x.Limited, x.Refusals,
			x.Errors, x.NoAnswer+x.NotSent, x.Refused+x.Reset+x.Timeout, round(x.Silence), round(x.Recovery), x.Verdict)
	}
	fmt.Println(text.String())
}

// write writes the rows so far for programs, if that is asked for.
func (r *report) write(t *testing.T) {
	if *chaosJSON == "" {
		return
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.WriteFile(*chaosJSON, append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
