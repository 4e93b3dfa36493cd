package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
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
	flag(l.file != "", "--wallets-file", l.file)
	return args
}

// said is what walletctl bench --json says, as far as it is needed here.
type said struct {
	Wallets []string `json:"wallets"`
	Answers struct {
		OK         int64            `json:"ok"`
		Accepted   int64            `json:"accepted"`
		Refused    int64            `json:"refused"`
		Overloaded int64            `json:"tooManyRequests"`
		Other      int64            `json:"other"`
		Server     int64            `json:"serverErrors"`
		None       int64            `json:"noAnswer"`
		NotSent    int64            `json:"notSent"`
		Errors     map[string]int64 `json:"errors"`
	} `json:"answers"`
	Latency           latency   `json:"latencyMs"`
	SendingSeconds    float64   `json:"sendingSeconds"`
	SendingEnded      time.Time `json:"sendingEnded"`
	SendingCPUSeconds float64   `json:"sendingCpuSeconds"`
}

type latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// accepted counts the operations that were promised, also those of bulks.
func (s *said) accepted() int64 { return s.Answers.OK + s.Answers.Accepted + s.Answers.Refused }

// unhappy counts those that got another answer, or none.
func (s *said) unhappy() int64 {
	a := s.Answers
	return a.Overloaded + a.Other + a.Server + a.None + a.NotSent
}

// unknown counts those whose outcome nobody was told: they may have been accepted.
func (s *said) unknown() int64 { return s.Answers.None + s.Answers.Server }

// walletctlTimeout is what a load may take beyond its duration.
const walletctlTimeout = time.Minute

// put runs walletctl bench against a service. Its exit code is no matter here: the
// counts are.
func (l load) put(ctx context.Context, bin, url string, d time.Duration) (s said, err error) {
	ctx, cancel := context.WithTimeout(ctx, d+walletctlTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(bin, "walletctl"), l.args(url, d)...)
	var out, complaint bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaint
	failed := command.Run()
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		return s, fmt.Errorf("walletctl bench: %w", errors.Join(failed, errors.New(complaint.String())))
	}
	return s, nil
}
