package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/wallet"
)

// journalAccept has the ledger go on with the journal as it is.
type journalAccept struct {
	components
	operator
	TopicID uuid.UUID `name:"topic-id" required:"" placeholder:"UUID" help:"The topic in Kafka that the ledger is to follow, as journal status shows it."`
	From    string    `enum:"start,end" default:"start" help:"Where to go on in each stopped partition: at the start of what Kafka has (records that the ledger knows are not applied again), or at its end."`
	Yes     bool      `help:"Do not ask."`
}

// Help is shown by journal accept-topic --help.
func (c *journalAccept) Help() string {
	return `What is lost is not applied, and nobody is told again: look first for a broker that is not back yet, or a backup of
its disk. What will be passed over is shown, and asked about. The ledger then follows the topic from these offsets, and
the replicas of walletd that run go on by themselves within seconds. Whoever still works for what was before can change
nothing any more. Take a base backup of the ledger at once: the journal cannot bring one from before up to date any more.`
}

// Validate is kong's.
func (c *journalAccept) Validate() error {
	if c.Reason == "" {
		return errNoReason
	}
	return c.operator.Validate()
}

// Run is kong's.
func (c *journalAccept) Run(s *screen) error {
	now, l, err := c.status(s)
	if err != nil {
		return err
	}
	defer l.Close()
	from := journal.FromStart
	if c.From == "end" {
		from = journal.FromEnd
	}
	a, err := now.Repointing(from)
	if err != nil {
		return &failure{exitRefused, err}
	}
	if a.To.ID != c.TopicID {
		return &failure{exitRefused, fmt.Errorf("--topic-id %s is not the topic that Kafka has, which is %s", c.TopicID, a.To.ID)}
	}
	fmt.Fprint(s.err, consequences(now, a))
	if !c.Yes && !s.confirmed() {
		return errNotConfirmed
	}
	if err := l.Repoint(s.ctx, a, c.trace(now, a)); err != nil {
		return fmt.Errorf("nothing was changed, or it is not known (journal status tells): %w", err)
	}
	if s.flags.JSON {
		return s.json(c.trace(now, a).Detail)
	}
	_, err = fmt.Fprintf(s.out, "the ledger follows %s, in %d of them from another offset; walletd goes on within seconds\n"+
		"take a base backup of the ledger now: the journal cannot bring one from before up to date any more\n", described(a.To), len(a.Moves))
	return err
}

// consequences says what the acceptance does and what it gives up.
func consequences(now journal.Status, a wallet.Repointing) string {
	var text strings.Builder
	if a.From.ID != a.To.ID {
		fmt.Fprintf(&text, "The ledger leaves topic %s, id %s: what was in it beyond the ledger's offsets is lost.\n", a.From.Name, a.From.ID)
		fmt.Fprintf(&text, "It will follow topic %s, id %s.\n", a.To.Name, a.To.ID)
	}
	for _, m := range a.Moves {
		fmt.Fprintf(&text, "partition %d: from offset %v to %d%s\n", m.Partition, offset(m.From), m.To, given(now, m))
	}
	return text.String()
}

// given says which offsets of the topic in Kafka nobody will look at.
func given(now journal.Status, m wallet.Move) string {
	var parts []string
	p := now.Partitions[m.Partition]
	if now.Ledger.ID == now.Kafka.ID && m.From < p.Start {
		parts = append(parts, fmt.Sprintf("%d are gone", p.Start-m.From))
	}
	if skipped := m.To - p.Start; skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d that are there are passed over", skipped))
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

func (c *journalAccept) trace(now journal.Status, a wallet.Repointing) wallet.Intervention {
	moves := make([]map[string]any, len(a.Moves))
	for n, m := range a.Moves {
		p := now.Partitions[m.Partition]
		moves[n] = map[string]any{"partition": m.Partition, "from": m.From, "to": m.To, "journalStart": p.Start, "journalEnd": p.End, "stopped": p.Stopped.Error()}
	}
	return wallet.Intervention{Who: c.who(), Action: wallet.ActionAccept, Subject: a.To.Name + "/" + a.To.ID.String(), Reason: c.Reason,
		Detail: map[string]any{"left": shownTopic(a.From), "follows": shownTopic(a.To), "partitions": moves}}
}

// confirmed asks the person at the terminal.
func (s *screen) confirmed() bool {
	fmt.Fprint(s.err, "Go on? Type yes: ")
	line, _ := bufio.NewReader(s.in).ReadString('\n')
	return strings.TrimSpace(line) == "yes"
}
