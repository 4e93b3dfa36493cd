package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// figure is what one cell gave in one round.
type figure struct {
	PerSecond float64            `json:"perSecond"` // applied, the drain included; of a read or the empty handler: answered
	Latency   latency            `json:"latencyMs"`
	CPUMicros map[string]float64 `json:"cpuMicros"` // of each process, per operation
	RSSMiB    map[string]int64   `json:"rssMiB"`    // at the end
	Sent      int64              `json:"sent"`
	Unhappy   int64              `json:"unprocessed"` // 429, other 4xx, 5xx, no answer, not sent
}

// measure puts the cell's load on its subject, waits until all is applied, and
// checks it. A wrong count is an error.
func (b *bench) measure(ctx context.Context, c cell) (figure, error) {
	if c.Subject == postgresItself {
		return b.components.postgresItself(ctx, c, b.seconds)
	}
	s := b.subjects[c.Subject]
	before := s.usage()
	said, err := c.put(ctx, b.bin, s.process.url, b.seconds)
	if err != nil {
		return figure{}, err
	}
	ended := time.Now()
	a := said.Answers
	accepted, unhappy := a.OK+a.Accepted+a.Refused, a.Overloaded+a.Other+a.Server+a.None+a.NotSent
	if accepted == 0 {
		return figure{}, fmt.Errorf("%s: nothing was accepted: %v", s.name, a.Errors)
	}
	operations := accepted // walletctl counts by operation, also those of a bulk
	if s.ledger != nil && !c.Reads {
		err = s.drained(ctx, said.Wallets, operations)
	}
	took := said.SendingSeconds
	if s.ledger != nil && !c.Reads {
		took += time.Since(ended).Seconds()
	}
	f := figure{PerSecond: float64(operations) / took, Latency: said.Latency, Sent: accepted + unhappy, Unhappy: unhappy,
		CPUMicros: map[string]float64{"loader": said.SendingCPUSeconds * 1e6 / float64(operations)}, RSSMiB: map[string]int64{}}
	for part, u := range s.usage() {
		f.CPUMicros[part] = float64((u.CPU - before[part].CPU).Microseconds()) / float64(operations)
		f.RSSMiB[part] = u.RSS >> 20
	}
	if s.ledger != nil && !c.Reads {
		err = errors.Join(err, s.check(ctx, said.Wallets, operations, a.None+a.Server))
	}
	return f, err
}

func (s *subject) usage() map[string]usage {
	all := make(map[string]usage, len(s.parts))
	for part, pid := range s.parts {
		all[part] = used(pid)
	}
	return all
}
