package main

import (
	"context"
	"errors"
	"time"
)

// figure is what one cell gave in one round.
type figure struct {
	PerSecond   float64            `json:"perSecond"` // applied, the drain included; of a read or the empty handler: answered
	Latency     latency            `json:"latencyMs"`
	CPUMicros   map[string]float64 `json:"cpuMicros"`   // of each process, per operation
	RSSMiB      map[string]int64   `json:"rssMiB"`      // at the end
	Unprocessed int64              `json:"unprocessed"` // 429, other 4xx, 5xx, no answer, not sent
	Late        int64              `json:"late"`        // of those that wait, answered with 202: the wait had ended
}

// Among the processes of a figure: the one that puts the load on, and the one it is put on.
const (
	loader  = "loader"
	service = "service"
)

// processes are all of them, in the order of the tables.
var processes = []string{loader, service, "kafka", "postgres", "redis"}

// openLeast is how long a load on schedule takes at least: one pause of 50 ms must not
// decide its 99th percentile.
const openLeast = 15 * time.Second

// lasts is how long the cell's load is put on.
func (b *bench) lasts(c cell) time.Duration {
	if c.Rate > 0 && !b.smoke {
		return max(b.seconds, openLeast)
	}
	return b.seconds
}

// measure puts the cell's load on its subject, waits until all is applied, and
// checks it. A wrong count is an error.
func (b *bench) measure(ctx context.Context, c cell) (figure, error) {
	if c.Subject == postgresItself {
		return b.components.postgresItself(ctx, c, b.seconds)
	}
	s := b.subjects[c.Subject]
	first, err := b.introduce(ctx, s, &c.load)
	if err != nil {
		return figure{}, err
	}
	before := s.usage()
	said, err := b.put(ctx, s, c.load, b.lasts(c))
	if err != nil {
		return figure{}, err
	}
	if s.ledger == nil || c.Reads {
		return s.figure(c, said, said.SendingSeconds, before), nil
	}
	wallets, told := first.and(said)
	err = s.drained(ctx, wallets, told.promised())
	f := s.figure(c, said, said.SendingSeconds+time.Since(said.SendingEnded).Seconds(), before)
	return f, errors.Join(err, s.check(ctx, wallets, told))
}

// introduceFor is how long many wallets are met before they are measured.
const introduceFor = time.Second

// introduce has a load of many wallets make them by a load of its own, applied when
// this returns: what making a thousand wallets costs is not the operations' cost. One
// wallet is made by its load.
func (b *bench) introduce(ctx context.Context, s *subject, l *load) (said loadReport, err error) {
	if l.Wallets == 1 {
		return said, nil
	}
	if said, err = b.put(ctx, s, *l, introduceFor); err != nil {
		return said, err
	}
	if s.ledger != nil {
		if err = s.drained(ctx, said.Wallets, said.Answers.promised()); err != nil {
			return said, err
		}
	}
	l.file, err = b.write("wallets", said.Wallets)
	return said, err
}

// figure is what was applied in so many seconds, and what that has used since before.
func (s *subject) figure(c cell, said loadReport, seconds float64, before map[string]usage) figure {
	operations := float64(said.Answers.promised())
	f := figure{PerSecond: operations / seconds, Latency: said.Latency, Unprocessed: said.Answers.unprocessed(),
		CPUMicros: map[string]float64{loader: said.SendingCPUSeconds * 1e6 / operations}, RSSMiB: map[string]int64{}}
	if !c.Async {
		f.Late = said.Answers.Accepted
	}
	for part, u := range s.usage() {
		f.CPUMicros[part] = float64((u.CPU - before[part].CPU).Microseconds()) / operations
		f.RSSMiB[part] = u.RSS >> 20
	}
	return f
}

func (s *subject) usage() map[string]usage {
	all := make(map[string]usage, len(s.parts))
	for part, pid := range s.parts {
		all[part] = used(pid)
	}
	return all
}
