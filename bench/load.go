package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// load is what is put on a subject.
type load struct {
	Connections int     `json:"connections,omitempty"` // closed loop
	Rate        float64 `json:"rate,omitempty"`        // open loop, a second
	Wallets     int     `json:"wallets"`
	Zipf        float64 `json:"zipf,omitempty"`
	Async       bool    `json:"async,omitempty"` // answered with 202 at once
	Bulk        int     `json:"bulk,omitempty"`  // operations in a request
	Reads       bool    `json:"reads,omitempty"`
	Keys        bool    `json:"keys,omitempty"` // each request has an idempotency key

	file string // of wallets that exist
}

func (l load) args(url string, d time.Duration) []string {
	args := []string{"--url", url, "--json", "bench", "--no-verify", "--no-strict", "--duration", d.String(),
		"--wallets", strconv.Itoa(l.Wallets), "--cores", "1"}
	flag := func(on bool, more ...string) {
		if on {
			args = append(args, more...)
		}
	}
	flag(l.Rate > 0, "--rate", fmt.Sprint(l.Rate))
	flag(l.Rate == 0, "--connections", strconv.Itoa(l.Connections))
	flag(l.Zipf > 0, "--zipf", fmt.Sprint(l.Zipf))
	flag(l.Async, "--async")
	flag(l.Bulk > 0, "--bulk", strconv.Itoa(l.Bulk))
	flag(l.Reads, "--reads")
	flag(l.Keys, "--keys")
	flag(l.file != "", "--wallets-file", l.file)
	return args
}

// loadReport is what walletctl bench --json says, as far as it is needed here.
type loadReport struct {
	Wallets           []string  `json:"wallets"` // that it made
	Answers           answers   `json:"answers"`
	Latency           latency   `json:"latencyMs"`
	SendingSeconds    float64   `json:"sendingSeconds"`
	SendingEnded      time.Time `json:"sendingEnded"`
	SendingCPUSeconds float64   `json:"sendingCpuSeconds"`
	Bounded           bool      `json:"bounded"` // it ended early, for it remembers no more
}

// and is what the wallets of this load and of a later one were told.
func (r loadReport) and(later loadReport) (wallets []string, told answers) {
	return slices.Concat(r.Wallets, later.Wallets), r.Answers.and(later.Answers)
}

// answers are counted by operation, also those of bulks.
type answers struct {
	OK         int64            `json:"ok"`
	Accepted   int64            `json:"accepted"`
	Refused    int64            `json:"refused"`
	Overloaded int64            `json:"tooManyRequests"`
	Other      int64            `json:"other"`
	Server     int64            `json:"serverErrors"`
	None       int64            `json:"noAnswer"`
	NotSent    int64            `json:"notSent"`
	Amount     int64            `json:"amount"` // of those that will be in the ledger, added up
	Errors     map[string]int64 `json:"errors"`

	inBulks int64 // of these, whose own outcomes are not counted: a bulk's answer counts as what it is as a whole
}

type latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// promised counts those that will be in the ledger.
func (a answers) promised() int64 { return a.OK + a.Accepted + a.Refused }

// refused are the fewest and the most of them that the ledger has refused.
func (a answers) refused() (least, most int64) { return a.Refused, a.Refused + a.Accepted + a.inBulks }

// unprocessed counts those that got another answer, or none.
func (a answers) unprocessed() int64 { return a.Overloaded + a.Other + a.Server + a.None + a.NotSent }

// unknown counts those whose outcome nobody was told: they may be in the ledger.
func (a answers) unknown() int64 { return a.None + a.Server }

// and adds the answers of another load, without its errors.
func (a answers) and(b answers) answers {
	return answers{OK: a.OK + b.OK, Accepted: a.Accepted + b.Accepted, Refused: a.Refused + b.Refused, Overloaded: a.Overloaded + b.Overloaded,
		Other: a.Other + b.Other, Server: a.Server + b.Server, None: a.None + b.None, NotSent: a.NotSent + b.NotSent, Amount: a.Amount + b.Amount, inBulks: a.inBulks + b.inBulks}
}

// walletctlTimeout is what a load may take beyond its duration.
const walletctlTimeout = time.Minute

// put runs walletctl bench against a subject. Its exit code is no matter here: the
// counts are.
func (b *bench) put(ctx context.Context, on *subject, l load, d time.Duration) (r loadReport, err error) {
	ctx, cancel := context.WithTimeout(ctx, d+walletctlTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(b.bin, "walletctl"), l.args(on.process.url, d)...)
	var out, complaint bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaint
	failed := command.Run()
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("walletctl bench: %w", errors.Join(failed, errors.New(complaint.String())))
	}
	if l.Bulk > 0 {
		r.Answers.inBulks = r.Answers.promised()
	}
	if !l.Reads {
		on.told = on.told.and(r.Answers)
	}
	switch {
	case r.Bounded:
		return r, fmt.Errorf("%s: the load ended before its %s, for it remembers no more operations", on.name, d)
	case r.Answers.promised() == 0:
		return r, fmt.Errorf("%s: nothing was accepted: %v", on.name, r.Answers.Errors)
	}
	return r, nil
}
