package main

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/walletd/walletd/cmd/walletctl/internal/load"
	"github.com/walletd/walletd/cmd/walletctl/internal/progress"
	"github.com/walletd/walletd/internal/wallet"
)

// benchCommand puts load on new wallets.
type benchCommand struct {
	Rate        *float64      `xor:"loop" placeholder:"N" help:"Open loop: N requests a second, on schedule whatever is unanswered; latency counts from the scheduled time. Default: 1000."`
	Connections *int          `xor:"loop" placeholder:"N" help:"Closed loop instead: N connections, each with one request at a time."`
	Bulk        int           `placeholder:"N" help:"Send bulks: every request has N operations of one wallet, up to 1000. Answers are counted by operation, latency by request."`
	Duration    time.Duration `default:"60s" help:"Of the sending."`
	Wallets     int           `default:"1" help:"New wallets that the requests go round."`
	WalletsFile string        `placeholder:"FILE" type:"existingfile" help:"Not new ones: wallets that exist, an id a line. Only with --no-verify: their histories are not all this run's."`
	Zipf        float64       `placeholder:"S" help:"Not round: the k-th wallet gets a share as k^-S, S above 1."`
	Reads       bool          `help:"Read balances instead of sending operations."`
	preference
	WithdrawShare float64       `default:"0.3" help:"Share of withdrawals, 0 to 1; so large that now and then one is refused."`
	Keys          bool          `help:"Send an Idempotency-Key with every request."`
	MaxInFlight   int           `default:"4096" help:"Bound of the open loop. A request that is due beyond it is not sent, and counts as a failure. Each takes a connection and up to 32 KB."`
	Drain         time.Duration `default:"60s" help:"How long accepted operations may take to get their outcome after the sending."`
	Verify        bool          `default:"true" negatable:"" help:"Read the histories afterwards and check them."`
	Strict        bool          `default:"true" negatable:"" help:"Any request that was not processed (429, other 4xx, 5xx, no answer, not sent) fails the run."`
	Cores         int           `default:"1" help:"Cores that the sending may use. On the service's own machine, each is one that the service lacks; one sends some 30000 requests a second."`
	Seed          uint64        `help:"Of types and amounts; 0: a new one, which is shown."`
	AllowRemote   bool          `help:"Allow a service that is not on a loopback address."`
}

// Help is shown by bench --help.
func (c *benchCommand) Help() string {
	return fmt.Sprintf(`After the sending it waits until every accepted operation has its outcome, reads the wallets' whole
histories, and checks: every accepted operation once, sequences 1 to n, each balance following from the one before by
the operation and its status, the order of requests sent after another's answer, every answer as the history has it,
the last balance as the wallet's; of bulks also the order within each. Exit 5 if anything is wrong.

Memory: about 150 bytes an operation, at most %d operations.`, load.MaxOperations)
}

// Validate is kong's.
func (c *benchCommand) Validate() error {
	switch {
	case c.Rate != nil && (*c.Rate <= 0 || *c.Rate > 1e6):
		return errors.New("--rate must be above 0, and at most 1000000")
	case c.Connections != nil && (*c.Connections < 1 || *c.Connections > 10_000):
		return errors.New("--connections must be from 1 to 10000")
	case c.Wallets < 1 || c.Wallets > 1_000_000:
		return errors.New("--wallets must be from 1 to 1000000")
	case !(c.WithdrawShare >= 0 && c.WithdrawShare <= 1):
		return errors.New("--withdraw-share must be from 0 to 1")
	case c.WalletsFile != "" && c.Verify:
		return errors.New("--wallets-file needs --no-verify")
	case c.Zipf != 0 && !(c.Zipf > 1):
		return errors.New("--zipf must be above 1")
	case c.Cores < 1:
		return errors.New("--cores must be at least 1")
	case c.MaxInFlight < 1 || c.MaxInFlight > 60_000:
		return errors.New("--max-in-flight must be from 1 to 60000")
	case c.Bulk < 0 || c.Bulk > wallet.MaxRecordOperations || c.Bulk > 0 && c.Reads:
		return fmt.Errorf("--bulk must be from 1 to %d, without --reads", wallet.MaxRecordOperations)
	case c.config("", 0).Planned() > load.MaxOperations:
		return fmt.Errorf("--rate for --duration is more than %d operations", load.MaxOperations)
	case c.Duration <= 0 || c.Drain < 0:
		return errors.New("--duration must be above 0, and --drain not negative")
	}
	return c.preference.Validate()
}

const defaultRate = 1000

func (c *benchCommand) config(at string, timeout time.Duration) load.Config {
	config := load.Config{URL: strings.TrimRight(at, "/"), Bulk: c.Bulk, Duration: c.Duration, Wallets: c.Wallets, Zipf: c.Zipf, Reads: c.Reads, Blind: !c.Verify,
		WithdrawShare: c.WithdrawShare, Prefer: c.header(), Keys: c.Keys, MaxInFlight: c.MaxInFlight,
		Timeout: timeout, Drain: c.Drain, Seed: c.Seed}
	switch {
	case c.Connections != nil:
		config.Connections = *c.Connections
	case c.Rate != nil:
		config.Rate = *c.Rate
	default:
		config.Rate = defaultRate
	}
	return config
}

// Run is kong's. Ctrl-C ends the sending; what was sent is still verified.
func (c *benchCommand) Run(s *screen) error {
	if !c.AllowRemote && !loopback(s.flags.URL) {
		return &failure{exitUsage, fmt.Errorf("%s is not a loopback address: load on it needs --allow-remote", s.flags.URL)}
	}
	client, err := s.client()
	if err = cmp.Or(err, c.within(s.flags.Timeout)); err != nil {
		return err
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	config := c.config(s.flags.URL, s.flags.Timeout)
	if c.WalletsFile != "" {
		if config.IDs, err = readIDs(c.WalletsFile); err != nil {
			return &failure{exitUsage, err}
		}
		config.Wallets = len(config.IDs)
	}
	run := load.New(client, config)
	if err := run.Create(s.ctx); err != nil {
		return err
	}
	stop := progress.Start(progress.Options{To: s.err, Terminal: s.terminal, Title: "bench", Unit: "operations",
		Total: config.Planned()}, run.Settled)
	before := runtime.GOMAXPROCS(c.Cores)
	report := run.Load(s.ctx)
	runtime.GOMAXPROCS(before)
	stop()
	if c.Verify && !c.Reads {
		fmt.Fprintln(s.err, "verifying: waiting for open outcomes, then reading the histories")
		run.Verify(s.ctx, report)
	}
	return s.showBench(config, report, c.Strict)
}

// loopback reports whether a URL names this machine without asking anyone.
func loopback(at string) bool {
	u, err := url.Parse(at)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.Unmap().IsLoopback()
}
