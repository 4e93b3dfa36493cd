package main

import (
	"context"
	"fmt"

	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

// dlqCommands are about the records that did not decode.
type dlqCommands struct {
	List    dlqList    `cmd:"" help:"Show the dead letters, oldest first, and what became of them."`
	Show    dlqShow    `cmd:"" help:"Show one whole: key, headers, value, and what the decoder says of it."`
	Replay  dlqReplay  `cmd:"" help:"Append its record to the journal again, as after an upgrade that decodes it."`
	Discard dlqDiscard `cmd:"" help:"Give it up: it is kept, and no longer open."`
}

// place is where a record is, on the command line.
type place struct{ wallet.Receipt }

// UnmarshalText takes <partition>-<offset>.
func (p *place) UnmarshalText(text []byte) error {
	var ok bool
	if p.Receipt, ok = wallet.ParseReceipt(string(text)); !ok {
		return fmt.Errorf("%q is not <partition>-<offset>", text)
	}
	return nil
}

// The states of a dead letter.
const (
	stateOpen      = "open"
	stateReplayed  = "replayed"
	stateDiscarded = "discarded"
)

func stateOf(i wallet.Intervention) string {
	switch i.Action {
	case wallet.ActionReplay:
		return stateReplayed
	case wallet.ActionDiscard:
		return stateDiscarded
	}
	return stateOpen
}

// deadLetters are what the dead letters' commands work with.
type deadLetters struct {
	ctx     context.Context
	cancel  context.CancelFunc
	ledger  *ledger.Ledger
	journal *journal.Journal
}

// deadLetters opens them, which the caller closes.
func (c *components) deadLetters(s *screen) (*deadLetters, error) {
	l, err := c.ledger(s.flags.Timeout)
	if err != nil {
		return nil, err
	}
	j, err := c.journal()
	if err != nil {
		l.Close()
		return nil, err
	}
	d := &deadLetters{ledger: l, journal: j}
	d.ctx, d.cancel = context.WithTimeout(s.ctx, s.flags.Timeout)
	return d, nil
}

func (d *deadLetters) close() {
	d.cancel()
	d.journal.Close()
	d.ledger.Close()
}

// unresolved is find of a letter that was not resolved before, unless force is set.
func (d *deadLetters) unresolved(at place, force bool) (journal.Letter, error) {
	letter, before, err := d.find(at)
	if err == nil && before.ID != 0 && !force {
		err = fmt.Errorf("%w: %s by %s at %s; --force does it once more", wallet.ErrResolved, stateOf(before), before.Who, local(before.At))
	}
	return letter, err
}

// find returns the letter with its last trace, if there is one.
func (d *deadLetters) find(at place) (journal.Letter, wallet.Intervention, error) {
	letter, found, err := d.journal.Letter(d.ctx, at.Receipt)
	if err == nil && !found {
		err = &failure{exitRefused, fmt.Errorf("there is no dead letter at %s", at)}
	}
	if err != nil {
		return letter, wallet.Intervention{}, err
	}
	resolved, err := d.ledger.Resolved(d.ctx, []string{letter.Subject()})
	return letter, resolved[letter.Subject()], err
}

// traceOf is the trace of what was done to a letter.
func (o *operator) traceOf(action wallet.Action, l journal.Letter, detail map[string]any) wallet.Intervention {
	detail["journal"], detail["why"] = l.Origin.String(), l.Why
	return wallet.Intervention{Who: o.who(), Action: action, Subject: l.Subject(), Reason: o.Reason, Detail: detail}
}

// dlqReplay appends a dead letter's record to the journal.
type dlqReplay struct {
	components
	operator
	Place place `arg:"" help:"The dead letter's place, as dlq list shows it."`
	Force bool  `help:"Also if it was resolved before, or does not decode still (it then becomes a dead letter again)."`
}

// Help is shown by dlq replay --help.
func (c *dlqReplay) Help() string {
	return `The record goes behind everything that is in the journal by now, so its operations are applied after later ones.
Each is applied once, by its id, however often it is replayed.`
}

// Run is kong's.
func (c *dlqReplay) Run(s *screen) error {
	if c.Force && c.Reason == "" {
		return &failure{exitUsage, errNoReason}
	}
	d, err := c.deadLetters(s)
	if err != nil {
		return err
	}
	defer d.close()
	letter, err := d.unresolved(c.Place, c.Force)
	if err != nil {
		return err
	}
	if letter.Empty() {
		return &failure{exitRefused, fmt.Errorf("the letter has nothing to append: %s", letter.Why)}
	}
	if rec := letter.Decode(); rec.Kind == wallet.KindPoison && !c.Force {
		return &failure{exitRefused, fmt.Errorf("it does not decode: %w; it would become a dead letter again (--force)", rec.Poison.Err)}
	}
	topic, err := d.followed()
	if err != nil {
		return err
	}
	receipt, err := d.journal.ReplayLetter(d.ctx, letter, topic)
	if err != nil {
		return err
	}
	// Whoever has resolved it meanwhile: it is in the journal, and is to be seen so.
	if err := d.ledger.ResolveAgain(d.ctx, c.traceOf(wallet.ActionReplay, letter, map[string]any{"appended": receipt.String()})); err != nil {
		return fmt.Errorf("it is in the journal again at %s, and that is not traced: %w", receipt, err)
	}
	return s.showDone(map[string]any{"replayed": letter.Place.String(), "appended": receipt.String()},
		fmt.Sprintf("replayed: it is in the journal again at %s", receipt))
}

// followed returns the topic that the ledger follows, if that is the one in Kafka:
// into another nobody looks.
func (d *deadLetters) followed() (wallet.Topic, error) {
	follows, offsets, err := d.ledger.Followed(d.ctx)
	if err != nil {
		return follows, err
	}
	now, err := d.journal.Status(d.ctx, follows, offsets)
	if err == nil && now.Kafka != now.Ledger {
		err = fmt.Errorf("%w: see journal status", wallet.ErrTopicChanged)
	}
	return follows, err
}

// dlqDiscard gives a dead letter up.
type dlqDiscard struct {
	components
	operator
	Place place `arg:"" help:"The dead letter's place, as dlq list shows it."`
	Force bool  `help:"Also if it was resolved before."`
}

// Validate is kong's.
func (c *dlqDiscard) Validate() error {
	if c.Reason == "" {
		return errNoReason
	}
	return c.operator.Validate()
}

// Run is kong's.
func (c *dlqDiscard) Run(s *screen) error {
	d, err := c.deadLetters(s)
	if err != nil {
		return err
	}
	defer d.close()
	letter, err := d.unresolved(c.Place, c.Force)
	if err != nil {
		return err
	}
	resolve := d.ledger.Resolve
	if c.Force {
		resolve = d.ledger.ResolveAgain
	}
	if err := resolve(d.ctx, c.traceOf(wallet.ActionDiscard, letter, map[string]any{})); err != nil {
		return err
	}
	return s.showDone(map[string]any{"discarded": letter.Place.String()}, "discarded: it is kept and no longer open")
}

// showDone says what was done.
func (s *screen) showDone(value map[string]any, text string) error {
	if s.flags.JSON {
		return s.json(value)
	}
	_, err := fmt.Fprintln(s.out, text)
	return err
}
