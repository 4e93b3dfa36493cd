//go:build containers

package compose_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bench is walletctl bench under way.
type bench struct {
	t        testing.TB
	cmd      *exec.Cmd
	out, err bytes.Buffer
}

// benched is what it reports.
type benched struct {
	Seconds           float64
	Interrupted       bool // it was sending until it was told to stop
	Wallets           []string
	AcceptedPerSecond float64
	SendingSeconds    float64
	DrainSeconds      float64 // with the verification
	Answers           struct {
		Sent, OK, Accepted, Refused, TooManyRequests, Other, ServerErrors, NoAnswer, NotSent int64
		Errors                                                                               map[string]int64
	}
	LatencyMs    struct{ P50, P99, P999, Max float64 }
	Verification struct {
		Operations int64
		Faults     struct {
			Counts map[string]int64
			First  []struct{ Kind, Detail string }
		}
	}
}

// maxInFlight bounds the unanswered requests: a machine that cannot keep up has its
// queue at the client, whose excess is not sent.
const maxInFlight = 2000

// startBench puts 1000 requests a second on one wallet, at a service's container;
// extra arguments come after. It takes the way of clients from outside: what comes
// from this machine to a published port goes through a process of Docker's, which
// ends when thousands of connections have used up its file descriptors.
func (p *project) startBench(t testing.TB, service string, args ...string) *bench {
	t.Helper()
	at := p.inspect(service, "http://{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}:8080")
	b := &bench{t: t}
	b.cmd = exec.CommandContext(t.Context(), walletctl, append([]string{"--json", "--url", at, "bench", "--allow-remote", "--rate", "1000", "--max-in-flight", strconv.Itoa(maxInFlight), "--no-strict"}, args...)...)
	b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.err
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return b
}

// stop ends the sending, which has to be under way still; what was sent is verified.
func (b *bench) stop() benched {
	b.t.Helper()
	if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
		b.t.Fatal(err)
	}
	r := b.wait()
	if !r.Interrupted {
		b.t.Errorf("the sending had ended by itself after %.0f s: what came later was not under load", r.Seconds)
	}
	return r
}

// wait returns the report, which has to prove the wallet's whole history.
func (b *bench) wait() benched {
	b.t.Helper()
	err := b.cmd.Wait()
	var r benched
	if jerr := json.Unmarshal(b.out.Bytes(), &r); jerr != nil {
		b.t.Fatalf("bench: %v, %v\n%s%s", err, jerr, b.out.String(), tail(b.err.String()))
	}
	b.t.Log(r)
	if len(r.Verification.Faults.Counts) > 0 {
		b.t.Errorf("the history is not exact: %v %v", r.Verification.Faults.Counts, r.Verification.Faults.First)
	}
	return r
}

func (r benched) String() string {
	a, l := r.Answers, r.LatencyMs
	return fmt.Sprintf("%d sent: %d applied, %d accepted, %d refused, %d 429, %d other 4xx, %d 5xx, %d without answer, %d not sent %v; %d operations exact, sent in %.0f and verified in %.0f s; p50 %.1f p99 %.1f p99.9 %.1f max %.0f ms",
		a.Sent, a.OK, a.Accepted, a.Refused, a.TooManyRequests, a.Other, a.ServerErrors, a.NoAnswer, a.NotSent, a.Errors, r.Verification.Operations, r.SendingSeconds, r.DrainSeconds, l.P50, l.P99, l.P999, l.Max)
}

// processed fails the test if a request got none of the answers that are promised.
// What was due while maxInFlight were in flight was not sent, which is the machine's doing.
func (r benched) processed(t testing.TB) {
	t.Helper()
	if a := r.Answers; a.TooManyRequests+a.Other+a.ServerErrors+a.NoAnswer > 0 {
		t.Errorf("not processed: %v", r)
	}
}

// operation is one of a wallet's history.
type operation struct {
	Origin    string
	AppliedAt time.Time
}

// history reads all operations of a wallet, newest first.
func history(t testing.TB, wallet string) []operation {
	t.Helper()
	var all []operation
	for cursor := ""; ; {
		var page struct {
			Operations []operation
			NextCursor string
		}
		get(t, api+"/wallets/"+wallet+"/operations?limit=1000"+cursor, &page)
		all = append(all, page.Operations...)
		if page.NextCursor == "" {
			return all
		}
		cursor = "&cursor=" + page.NextCursor
	}
}

// fault is a service's container killed.
type fault struct {
	service string
	at      time.Time
}

// pauses says for each fault the longest time after it, and before the next, during
// which nothing was applied, and how many operations took the direct way meanwhile.
func pauses(t testing.TB, faults []fault, newestFirst []operation) {
	t.Helper()
	until := time.Now()
	for _, f := range slices.Backward(faults) {
		longest, direct := time.Duration(0), 0
		for i, op := range newestFirst {
			if op.AppliedAt.Before(f.at) || op.AppliedAt.After(until) {
				continue
			}
			if op.Origin == "direct" {
				direct++
			}
			if i+1 < len(newestFirst) {
				longest = max(longest, op.AppliedAt.Sub(newestFirst[i+1].AppliedAt))
			}
		}
		t.Logf("%s killed: nothing applied for %.2f s, %d operations directly", f.service, longest.Seconds(), direct)
		until = f.at
	}
}

const api = "http://127.0.0.1:8080/api/v1"

// client does not outlive a container's connections.
var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// open asks for an address that has to answer 200; its body is to be closed.
func open(t testing.TB, url string) io.ReadCloser {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		t.Fatalf("%s: %s", url, response.Status)
	}
	return response.Body
}

// get reads a JSON document.
func get(t testing.TB, url string, into any) {
	t.Helper()
	body := open(t, url)
	defer body.Close()
	if err := json.NewDecoder(body).Decode(into); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
}

// status asks for an address and returns how it was answered.
func status(t testing.TB, url string) int {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// balance is a wallet as the ledger has it.
type balance struct{ Balance, Sequence int64 }

func ledgerBalance(t testing.TB, wallet string) (b balance) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api+"/wallets/"+wallet, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Cache-Control", "no-cache")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&b); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("wallet %s: %s, %v", wallet, response.Status, err)
	}
	return b
}

// deposit applies one operation and returns the balance after it.
func deposit(t testing.TB, wallet string, amount int) (b balance) {
	t.Helper()
	body := fmt.Sprintf(`{"walletId":%q,"operationType":"DEPOSIT","amount":%d}`, wallet, amount)
	response, err := client.Post(api+"/wallet", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&b); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("deposit: %s, %v", response.Status, err)
	}
	return b
}
