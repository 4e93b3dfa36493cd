package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

// journalCommands are about the journal beside the ledger.
type journalCommands struct {
	Status      journalStatus `cmd:"" help:"Show the topic and each partition: the ledger's offset, what Kafka has, and why it is stopped if it is."`
	AcceptTopic journalAccept `cmd:"" help:"Go on although records are lost: with a topic that was made anew, or past offsets that are gone."`
}

// journalStatus shows the journal.
type journalStatus struct{ components }

// topic is a topic for programs.
type topic struct {
	Name       string    `json:"topic"`
	ID         uuid.UUID `json:"topicId"`
	Partitions int32     `json:"partitions"`
}

// partition is a partition for programs.
type partition struct {
	Partition int32  `json:"partition"`
	Next      int64  `json:"nextOffset"`
	Start     int64  `json:"journalStart"`
	End       int64  `json:"journalEnd"`
	Lag       int64  `json:"lag"`
	Stopped   string `json:"stopped,omitempty"`
}

func newPartition(p journal.Partition) partition {
	out := partition{Partition: p.Partition, Next: p.Next, Start: p.Start, End: p.End, Lag: p.Lag()}
	if p.Stopped != nil {
		out.Stopped = p.Stopped.Error()
	}
	return out
}

// Run is kong's.
func (c *journalStatus) Run(s *screen) error {
	now, l, err := c.status(s)
	if err != nil {
		return err
	}
	defer l.Close()
	partitions := make([]partition, len(now.Partitions))
	for n, p := range now.Partitions {
		partitions[n] = newPartition(p)
	}
	if !s.flags.JSON {
		return s.showStatus(now, partitions)
	}
	return s.json(map[string]any{"ledger": shownTopic(now.Ledger), "kafka": shownTopic(now.Kafka), "generation": now.Ledger.Generation, "partitions": partitions})
}

func shownTopic(t wallet.Topic) *topic {
	if t.ID == uuid.Nil {
		return nil
	}
	return &topic{t.Name, t.ID, t.Partitions}
}

// status asks the ledger, which the caller closes unless there is an error, and
// Kafka.
func (c *components) status(s *screen) (journal.Status, *ledger.Ledger, error) {
	l, err := c.ledger(s.flags.Timeout)
	if err != nil {
		return journal.Status{}, nil, err
	}
	now, err := c.compare(s, l)
	if err != nil {
		l.Close()
		return now, nil, err
	}
	return now, l, nil
}

func (c *components) compare(s *screen, l *ledger.Ledger) (now journal.Status, err error) {
	j, err := c.journal()
	if err != nil {
		return now, err
	}
	defer j.Close()
	follows, offsets, err := l.Followed(s.ctx)
	if err != nil {
		return now, err
	}
	return j.Status(s.ctx, follows, offsets)
}

func (s *screen) showStatus(now journal.Status, partitions []partition) error {
	if err := pairs(s.out, "ledger follows", described(now.Ledger), "Kafka has", described(now.Kafka)); err != nil {
		return err
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\nPARTITION\tNEXT OFFSET\tJOURNAL START\tJOURNAL END\tLAG\t  STOPPED")
	for _, p := range partitions {
		stopped := "  -"
		if p.Stopped != "" {
			stopped = "  " + p.Stopped
		}
		fmt.Fprintf(t, "%d\t%v\t%v\t%v\t%v\t%s\n", p.Partition, offset(p.Next), offset(p.Start), offset(p.End), offset(p.Lag), stopped)
	}
	return t.Flush()
}

func described(t wallet.Topic) string {
	if t.ID == uuid.Nil {
		return "none"
	}
	return fmt.Sprintf("%s, id %s, %d partitions", t.Name, t.ID, t.Partitions)
}

// offset shows one that may not be known.
func offset(n int64) any {
	if n < 0 {
		return "-"
	}
	return n
}

var errNotConfirmed = &failure{exitRefused, errors.New("not confirmed: nothing was changed")}
