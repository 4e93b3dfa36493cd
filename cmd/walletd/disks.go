package main

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// disks are the metrics of what the components' disks hold. They are absent while
// the component does not tell.
type disks struct{ total, free, ledger *prometheus.GaugeVec }

const (
	measureFirst = 5 * time.Second // after the start, when the components have been met
	measureEvery = 30 * time.Second
)

func newDisks(r prometheus.Registerer) *disks {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		r.MustRegister(g)
		return g
	}
	return &disks{
		total:  gauge("walletd_journal_disk_bytes", "Size of the volume of a broker's data.", "broker"),
		free:   gauge("walletd_journal_disk_free_bytes", "Free bytes of the volume of a broker's data.", "broker"),
		ledger: gauge("walletd_ledger_bytes", "Size of the ledger's database."),
	}
}

// measure asks the components, until ctx ends.
func (s *system) measure(ctx context.Context) {
	timer := time.NewTimer(measureFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		s.measureOnce(ctx)
		timer.Reset(measureEvery)
	}
}

func (s *system) measureOnce(ctx context.Context) {
	d := s.disks
	brokers, _ := s.journal.Disks(ctx)
	d.total.Reset()
	d.free.Reset()
	for _, b := range brokers {
		id := strconv.Itoa(int(b.Broker))
		d.total.WithLabelValues(id).Set(float64(b.Bytes))
		d.free.WithLabelValues(id).Set(float64(b.Free))
	}
	d.ledger.Reset()
	if n, err := s.ledger.Bytes(ctx); err == nil {
		d.ledger.WithLabelValues().Set(float64(n))
	}
}
