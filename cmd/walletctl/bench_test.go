package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/cmd/walletctl/internal/fake"
)

var short = []string{"bench", "--rate", "1000", "--duration", "100ms", "--drain", "50ms"}

func TestBench(t *testing.T) {
	c := start(t)
	out, _ := c.run(0, short...)
	c.has(out, "open loop, 1000 requests/s", "sent            100", "passed in")
	out, _ = c.run(0, append(short, "--json", "--wallets", "3")...)
	var report benchDocument
	if err := json.Unmarshal([]byte(out), &report); err != nil || !report.OK || len(report.Wallets) != 3 || report.Answers.Sent != 100 {
		t.Errorf("%v in %s", err, out)
	}
	c.run(0, "bench", "--connections", "2", "--duration", "50ms", "--async")
	out, _ = c.run(0, append(short, "--json", "--no-verify")...)
	if strings.Contains(out, "appliedPerSecond") || strings.Contains(out, "verification") {
		t.Errorf("figures of what was not read in %s", out)
	}
}

func TestBenchExitCodes(t *testing.T) {
	c := start(t)
	c.service.Fault = func(n int) fake.Fault {
		if n == 50 {
			return fake.Overloaded
		}
		return fake.None
	}
	_, errors := c.run(exitDiffers, short...)
	c.has(errors, "1 operations were not processed")
	c = start(t)
	c.service.Fault = func(n int) fake.Fault {
		if n == 50 {
			return fake.Overloaded
		}
		return fake.None
	}
	c.run(0, append(short, "--no-strict")...)
	c = start(t)
	c.service.Distort = func(ops []client.Operation) []client.Operation { return slices.Delete(ops, 10, 11) }
	out, errors := c.run(exitDiffers, short...)
	c.has(out, "FAILED: ", "lost: wallet")
	c.has(errors, "did not keep its promises", "lost 1")
}
