package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/walletd/walletd/cmd/walletctl/internal/importer"
)

// maxDifferences bounds what is shown; the full report has all.
const maxDifferences = 20

// showImport shows what became of an import and returns the error that its exit
// code comes from. A difference weighs more than a stop: it will not go away by
// running the import again.
func (s *screen) showImport(r *importer.Report, stopped error) error {
	show := s.importTable
	if s.flags.JSON {
		show = func(r *importer.Report) error {
			short := *r
			short.Each = nil
			return s.json(&short)
		}
	}
	if err := show(r); err != nil {
		return err
	}
	if stopped != nil {
		stopped = fmt.Errorf("%w\n%d of %d rows were sent; run the same command again to go on, nothing is applied twice",
			stopped, r.Sent, r.Rows)
	}
	switch {
	case r.Comparison != nil && r.Comparison.Differ > 0:
		return &failure{exitDiffers, errors.Join(fmt.Errorf("%d accounts differ from the file", r.Comparison.Differ), stopped)}
	case stopped != nil:
		return stopped
	case r.Failed+r.Refused > 0:
		return &failure{exitRefused, fmt.Errorf("%d rows were not applied%s", r.Failed+r.Refused+r.Rows-r.Sent, behind(r.Rows-r.Sent))}
	}
	return nil
}

// behind says how many rows were not sent since one before them of their account was refused.
func behind(rows int) string {
	if rows == 0 {
		return ""
	}
	return fmt.Sprintf(", of which %d were not sent: one before them was refused, and they have to follow it", rows)
}

func (s *screen) importTable(r *importer.Report) error {
	values := []any{"import", r.Name, "accounts", r.Accounts, "rows", r.Rows, "sent", r.Sent,
		"applied", r.Applied, "failed", r.Failed, "refused", r.Refused}
	for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
		values = append(values, "  "+reason, r.Reasons[reason])
	}
	values = append(values, "replayed", fmt.Sprintf("%d (known from an earlier run)", r.Replayed),
		"answered 202", fmt.Sprintf("%d, of which %d were resolved and %d were not", r.AnsweredPending, r.Resolved, r.Unresolved),
		"time", fmt.Sprintf("%.1f s, %.0f rows/s", r.Seconds, float64(r.Sent)/max(r.Seconds, 1e-3)))
	if c := r.Comparison; c != nil {
		values = append(values, "balances", "compared row by row with the file's",
			"  exact", fmt.Sprintf("%d accounts", c.Exact),
			"  within tolerance", fmt.Sprintf("%d accounts (%d for each row of the account so far)", c.Within, c.TolerancePerRow),
			"  differ", fmt.Sprintf("%d accounts", c.Differ),
			"  incomplete", fmt.Sprintf("%d accounts", c.Incomplete))
	}
	if err := pairs(s.out, values...); err != nil {
		return err
	}
	s.differences(r)
	return nil
}

// differences shows the first accounts that differ, each with its first row that does.
func (s *screen) differences(r *importer.Report) {
	shown := 0
	for _, a := range r.Each {
		d := a.FirstDifference
		if d == nil {
			continue
		}
		if shown++; shown > maxDifferences {
			fmt.Fprintln(s.out, "more in the full report: --report FILE.json")
			return
		}
		fmt.Fprintf(s.out, "account %s, line %d, id %s: balance %d, the file has %d", a.Account, d.Line, d.ID, d.Balance, d.Want)
		if d.Detail != "" {
			fmt.Fprintf(s.out, " (%s)", d.Detail)
		}
		if a.OpeningBalance != 0 {
			fmt.Fprintf(s.out, "; its first row implies an opening balance of %d that no row brings in", a.OpeningBalance)
		}
		fmt.Fprintln(s.out)
	}
}
