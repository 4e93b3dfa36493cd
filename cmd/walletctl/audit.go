package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/walletd/walletd/cmd/walletctl/internal/progress"
	"github.com/walletd/walletd/internal/audit"
	"github.com/walletd/walletd/internal/auditor"
)

// auditCommand compares journal, ledger and cache.
type auditCommand struct {
	components
	Wallet walletID `placeholder:"ID" help:"Look at one wallet only."`
}

// Help is shown by audit --help.
func (c *auditCommand) Help() string {
	return `It replays the journal (Kafka) from its beginning, decides every operation again, and compares that with the ledger
(PostgreSQL) and the cache (Redis): nothing lost, nothing twice, nothing that was not journaled; order, outcomes,
sequences and balances; offsets, dead letters, cached balances. It talks to the components themselves, not to walletd,
reads only, in small pages, and may run beside walletd at work: what is under way is counted, and is no finding.

Memory: some 80 bytes a wallet, 300 for each operation that is requeued, 150 for one that is applied directly or
during the audit.

Exit 5 if anything differs, 4 if a component could not be read to the end. Redis alone may be away.`
}

// Run is kong's.
func (c *auditCommand) Run(s *screen) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	stop := func() {}
	began := func(records int64, done func() int64) {
		stop = progress.Start(progress.Options{To: s.err, Terminal: s.terminal, Title: "audit", Unit: "records", Total: records}, done)
	}
	report, err := auditor.Run(s.ctx, cfg, auditor.Options{Wallet: c.Wallet.UUID, Began: began})
	stop()
	if report == nil {
		return &failure{exitUsage, err}
	}
	if c.Wallet.UUID != uuid.Nil && err == nil && report.Wallets == 0 && report.Operations == 0 && report.Clean() {
		return &failure{exitRefused, fmt.Errorf("there is no wallet %s, neither in the journal nor in the ledger", c.Wallet)}
	}
	return s.showAudit(report, err)
}

// showAudit shows a report and returns the error that its exit code comes from. A
// difference weighs more than an end that came too early.
func (s *screen) showAudit(r *audit.Report, stopped error) error {
	var err error
	if s.flags.JSON {
		err = s.auditJSON(r, stopped)
	} else {
		err = s.auditTable(r, stopped)
	}
	if err != nil {
		return err
	}
	switch {
	case !r.Clean():
		return &failure{exitDiffers, errors.Join(fmt.Errorf("%d differences", r.Differences()), stopped)}
	case s.ctx.Err() != nil:
		return &failure{exitInterrupted, stopped}
	case stopped != nil:
		return &failure{exitUnavailable, stopped}
	}
	return nil
}

func (s *screen) auditJSON(r *audit.Report, stopped error) error {
	value := struct {
		OK         bool   `json:"ok"`
		Incomplete string `json:"incomplete,omitempty"` // why not everything was looked at
		*audit.Report
	}{OK: r.Clean() && stopped == nil, Report: r}
	if stopped != nil {
		value.Incomplete = stopped.Error()
	}
	return s.json(value)
}

func (s *screen) auditTable(r *audit.Report, stopped error) error {
	cached := fmt.Sprintf("%d balances compared, %d of wallets that this ledger does not have", r.Cached, r.CachedElsewhere)
	if r.CacheUnread != "" {
		cached += "; the cache could not be read: " + r.CacheUnread
	}
	values := []any{"journal", r.Topic, "records", fmt.Sprintf("%d, with %d operations", r.Records, r.Operations),
		"wallets", r.Wallets, "cache", cached,
		"in flight", fmt.Sprintf("%d records not applied when the audit began, %d operations requeued", r.InFlight, r.Requeued),
		"awaiting backfill", r.AwaitingBackfill,
		"repeats", fmt.Sprintf("%d, of which %d asked for something else", r.Repeats, r.KeysReused),
		"time", fmt.Sprintf("%.1f s, %.0f operations/s", r.Seconds, float64(r.Operations)/max(r.Seconds, 1e-3)),
		"differences", r.Differences()}
	if stopped != nil {
		values[len(values)-1] = fmt.Sprintf("%d so far: not everything was looked at", r.Differences())
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Totals)) {
		values = append(values, "  "+string(kind), r.Totals[kind])
	}
	if err := pairs(s.out, values...); err != nil {
		return err
	}
	for _, f := range slices.Concat(r.Findings, r.Notes) {
		fmt.Fprintln(s.out, f)
	}
	if n := r.Differences() - int64(len(r.Findings)); n > 0 {
		fmt.Fprintf(s.out, "and %d more\n", n)
	}
	return nil
}
