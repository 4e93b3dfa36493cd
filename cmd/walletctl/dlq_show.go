package main

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/wallet"
)

// dlqList shows dead letters.
type dlqList struct {
	components
	State string `enum:"all,open,replayed,discarded" default:"all" help:"Only the open, replayed or discarded ones."`
	Limit int    `default:"50" help:"How many at most."`
	From  place  `placeholder:"PLACE" help:"Go on where an earlier list ended."`
}

// Validate is kong's.
func (c *dlqList) Validate() error { return checkLimit(c.Limit) }

// letter is a dead letter for programs. Of the bytes it has the number, or in dlq
// show the bytes.
type letter struct {
	Place   string    `json:"place"`
	At      time.Time `json:"at"`
	Journal string    `json:"journal"`
	Why     string    `json:"why"`
	State   string    `json:"state"`
	Bytes   int       `json:"bytes"`
	Key     string    `json:"key"`
	Value   []byte    `json:"value,omitempty"`
	Headers []header  `json:"headers,omitempty"`
	Decoder string    `json:"decoder"`
}

type header struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

func newLetter(l journal.Letter, resolved wallet.Intervention) letter {
	return letter{Place: l.Place.String(), At: l.At, Journal: l.Origin.String(), Why: l.Why, State: stateOf(resolved),
		Bytes: len(l.Value), Key: string(l.Key), Decoder: decoded(l)}
}

// decoded is what this program's decoder makes of the record.
func decoded(l journal.Letter) string {
	rec := l.Decode()
	if rec.Kind == wallet.KindPoison {
		return "does not decode: " + rec.Poison.Err.Error()
	}
	kind := map[wallet.Kind]string{wallet.KindOperations: "operations", wallet.KindCreate: "create", wallet.KindBackfill: "backfill"}[rec.Kind]
	text := fmt.Sprintf("decodes: %s of wallet %s:", kind, rec.WalletID)
	for n, op := range rec.Operations {
		if n == 10 {
			return text + fmt.Sprintf(" and %d more", len(rec.Operations)-n)
		}
		text += fmt.Sprintf(" %s %s %d;", op.ID, op.Type, op.Amount)
	}
	return text
}

// Run is kong's.
func (c *dlqList) Run(s *screen) error {
	d, err := c.deadLetters(s)
	if err != nil {
		return err
	}
	defer d.close()
	all, next := []letter{}, ""
	err = d.journal.VisitLetters(d.ctx, c.From.Receipt, func(part []journal.Letter) (bool, error) {
		subjects := make([]string, len(part))
		for n, l := range part {
			subjects[n] = l.Subject()
		}
		resolved, err := d.ledger.Resolved(d.ctx, subjects)
		for _, l := range part {
			shown := newLetter(l, resolved[l.Subject()])
			if c.State != "all" && shown.State != c.State {
				continue
			}
			if len(all) == c.Limit {
				next = shown.Place
				return false, err
			}
			all = append(all, shown)
		}
		return true, err
	})
	if err != nil {
		return err
	}
	if s.flags.JSON {
		return s.json(map[string]any{"deadLetters": all, "next": next})
	}
	return s.showLetters(all, next)
}

func (s *screen) showLetters(all []letter, next string) error {
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PLACE\tAT\tJOURNAL\tSTATE\tBYTES\tWHY")
	for _, l := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\n", l.Place, local(l.At), l.Journal, l.State, l.Bytes, l.Why)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	text := fmt.Sprintf("%d dead letters", len(all))
	if next != "" {
		text += "; there are more: --from " + next
	}
	_, err := fmt.Fprintln(s.out, text)
	return err
}

// dlqShow shows one dead letter.
type dlqShow struct {
	components
	Place place `arg:"" help:"The dead letter's place, as dlq list shows it."`
}

// Run is kong's.
func (c *dlqShow) Run(s *screen) error {
	d, err := c.deadLetters(s)
	if err != nil {
		return err
	}
	defer d.close()
	found, resolved, err := d.find(c.Place)
	if err != nil {
		return err
	}
	shown := newLetter(found, resolved)
	if s.flags.JSON {
		shown.Value = found.Value
		for _, h := range found.Headers {
			shown.Headers = append(shown.Headers, header(h))
		}
		return s.json(shown)
	}
	return s.showLetter(shown, found, resolved)
}

func (s *screen) showLetter(l letter, found journal.Letter, resolved wallet.Intervention) error {
	state := l.State
	if resolved.ID > 0 {
		state += fmt.Sprintf(" by %s at %s: %s", resolved.Who, local(resolved.At), resolved.Reason)
	}
	values := []any{"place", l.Place, "at", local(l.At), "journal", l.Journal, "why", l.Why, "state", state,
		"decoder", l.Decoder, "key", strconv.Quote(l.Key)}
	for _, h := range found.Headers {
		values = append(values, "header "+strconv.Quote(h.Key), strconv.Quote(string(h.Value)))
	}
	if err := pairs(s.out, append(values, "value", fmt.Sprintf("%d bytes", l.Bytes))...); err != nil {
		return err
	}
	_, err := fmt.Fprint(s.out, hex.Dump(found.Value))
	return err
}
