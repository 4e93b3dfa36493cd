package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/walletd/walletd/internal/wallet"
)

// interventionsCommand shows what operators did.
type interventionsCommand struct {
	components
	Limit  int   `default:"50" help:"How many at most."`
	Before int64 `placeholder:"ID" help:"Go on where an earlier list ended."`
}

// Validate is kong's.
func (c *interventionsCommand) Validate() error { return checkLimit(c.Limit) }

// maxLimit bounds what one list of an operator's command holds.
const maxLimit = 10_000

func checkLimit(n int) error {
	if n < 1 || n > maxLimit {
		return fmt.Errorf("--limit must be from 1 to %d", maxLimit)
	}
	return nil
}

// intervention is one for programs.
type intervention struct {
	ID      int64          `json:"id"`
	At      time.Time      `json:"at"`
	Who     string         `json:"who"`
	Action  wallet.Action  `json:"action"`
	Subject string         `json:"subject"`
	Reason  string         `json:"reason"`
	Detail  map[string]any `json:"detail"`
}

// Run is kong's.
func (c *interventionsCommand) Run(s *screen) error {
	l, err := c.ledger(s.flags.Timeout)
	if err != nil {
		return err
	}
	defer l.Close()
	all, err := l.Interventions(s.ctx, c.Before, c.Limit)
	if err != nil {
		return err
	}
	if s.flags.JSON {
		shown := make([]intervention, len(all))
		for n, i := range all {
			shown[n] = intervention(i)
		}
		return s.json(map[string]any{"interventions": shown})
	}
	return s.showInterventions(all, c.Limit)
}

func (s *screen) showInterventions(all []wallet.Intervention, limit int) error {
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tAT\tWHO\tACTION\tSUBJECT\tREASON\tDETAIL")
	for _, i := range all {
		detail, err := json.Marshal(i.Detail)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", i.ID, local(i.At), i.Who, i.Action, i.Subject, i.Reason, detail)
	}
	if len(all) == limit {
		fmt.Fprintf(t, "there may be more: --before %d\n", all[len(all)-1].ID)
	}
	return t.Flush()
}
