package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/walletd/walletd/cmd/walletctl/internal/load"
)

// benchDocument is the report for programs.
type benchDocument struct {
	OK            bool    `json:"ok"`
	Strict        bool    `json:"strict"`
	URL           string  `json:"url"`
	Rate          float64 `json:"rate,omitempty"`        // open loop
	Connections   int     `json:"connections,omitempty"` // closed loop
	Bulk          int     `json:"bulk,omitempty"`        // operations of each request
	Seconds       float64 `json:"seconds"`
	Prefer        string  `json:"prefer,omitempty"`
	Keys          bool    `json:"keys"`
	WithdrawShare float64 `json:"withdrawShare"`
	Seed          uint64  `json:"seed"`
	*load.Report
}

// showBench shows a run's report and returns the error that its exit code comes from.
func (s *screen) showBench(c load.Config, r *load.Report, strict bool) error {
	var err error
	if s.flags.JSON {
		err = s.json(benchDocument{OK: r.OK(strict), Strict: strict, URL: c.URL, Rate: c.Rate,
			Connections: c.Connections, Bulk: c.Bulk, Seconds: c.Duration.Seconds(), Prefer: c.Prefer, Keys: c.Keys,
			WithdrawShare: c.WithdrawShare, Seed: c.Seed, Report: r})
	} else {
		err = s.benchTable(c, r)
	}
	switch {
	case err != nil:
		return err
	case len(r.Faults()) > 0:
		return &failure{exitDiffers, fmt.Errorf("the service did not keep its promises: %s", kinds(r))}
	case !r.OK(strict):
		return &failure{exitDiffers, fmt.Errorf("%d operations were not processed", r.Answers.Unprocessed())}
	case r.Interrupted:
		return &failure{exitInterrupted, fmt.Errorf("interrupted; what was sent is verified")}
	}
	return nil
}

func kinds(r *load.Report) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(r.Faults())) {
		parts = append(parts, fmt.Sprintf("%s %d", kind, r.Faults()[kind]))
	}
	return strings.Join(parts, ", ")
}

func (s *screen) benchTable(c load.Config, r *load.Report) error {
	a, l := r.Answers, r.LatencyMs
	values := []any{"load", loop(c) + bulks(c), "wallets", c.Wallets, "seed", c.Seed, "sent", a.Sent,
		"  200 applied", a.OK, "  202 accepted", a.Accepted, "  422 refused", a.Refused,
		"  429", a.Overloaded, "  other 4xx", a.Other, "  5xx", a.Server, "  no answer", a.None, "not sent", a.NotSent}
	applied, history := "not known", "not read"
	if v := r.Verification; v != nil {
		applied = fmt.Sprintf("%.1f/s", r.AppliedPerSecond)
		history = fmt.Sprintf("%d operations, %d APPLIED, %d FAILED; %d answers of 202 followed", v.Operations, v.Applied, v.Failed, v.Followed)
	}
	for _, reason := range slices.Sorted(maps.Keys(a.Errors)) {
		values = append(values, "  "+reason, a.Errors[reason])
	}
	values = append(values,
		"accepted", fmt.Sprintf("%.1f/s in %.2f s", r.AcceptedPerSecond, r.SendingSeconds),
		"applied", applied,
		"latency", fmt.Sprintf("p50 %.2f  p90 %.2f  p99 %.2f  p99.9 %.2f  max %.2f ms, %s", l.P50, l.P90, l.P99, l.P999, l.Max, since(c)),
		"history", history,
		"verification", verdict(r))
	if err := pairs(s.out, values...); err != nil {
		return err
	}
	if r.Verification != nil {
		for _, f := range r.Verification.Faults.First {
			fmt.Fprintf(s.out, "%s: %s\n", f.Kind, f.Detail)
		}
	}
	if r.Bounded {
		fmt.Fprintf(s.out, "the load ended early, at the bound of %d operations\n", load.MaxOperations)
	}
	return nil
}

func loop(c load.Config) string {
	if c.Rate > 0 {
		return fmt.Sprintf("open loop, %g requests/s for %s", c.Rate, c.Duration)
	}
	return fmt.Sprintf("closed loop, %d connections for %s", c.Connections, c.Duration)
}

func bulks(c load.Config) string {
	if c.Bulk > 0 {
		return fmt.Sprintf(", bulks of %d; counted by operation", c.Bulk)
	}
	return ""
}

func since(c load.Config) string {
	if c.Rate > 0 {
		return "from the scheduled time"
	}
	return "from the sending; a closed loop hides queueing"
}

func verdict(r *load.Report) string {
	switch {
	case r.Verification == nil:
		return "not asked for"
	case len(r.Faults()) == 0:
		return fmt.Sprintf("passed in %.1f s: every accepted operation once, gapless, balances exact, answers true", r.DrainSeconds)
	}
	return "FAILED: " + kinds(r)
}
