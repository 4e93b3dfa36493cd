package applier

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/wallet"
)

// metrics counts what applying does.
type metrics struct {
	batches, conflicts, asides, copies, alarms, dead, losses prometheus.Counter
	operations                                               *prometheus.CounterVec
	drops                                                    *prometheus.CounterVec
	directs                                                  *prometheus.CounterVec
	size, seconds, age                                       prometheus.Histogram
}

// newMetrics registers the counters and histograms.
func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	vec := func(name, help, label string, values ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		r.MustRegister(c)
		for _, v := range values {
			c.WithLabelValues(v) // from 0: of a counter that begins at 1 no increase is seen
		}
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
		r.MustRegister(h)
		return h
	}
	return &metrics{
		batches:    counter("walletd_batches_total", "Batches of partitions committed."),
		conflicts:  counter("walletd_batch_conflicts_total", "Batches refused because a version or key was not as computed."),
		asides:     counter("walletd_set_aside_total", "Times that a wallet was set aside."),
		copies:     counter("walletd_requeue_copies_total", "Copies of requeued operations put back into the journal."),
		alarms:     counter("walletd_requeue_alarms_total", "Refusals of a requeued list beyond the attempts that are normal."),
		dead:       counter("walletd_dead_letters_total", "Records that did not decode and were put into the dead-letter topic."),
		losses:     counter("walletd_lost_operations_total", "Operations that were acknowledged and that a look has found neither in the journal nor in the ledger; they are applied directly."),
		operations: vec("walletd_operations_total", "Operations decided, by outcome, on either way.", "outcome", "applied", "failed"),
		drops:      vec("walletd_batches_dropped_total", "Batches dropped because they were fenced, or, as unavailable, for any other reason.", "reason", "fenced", "unavailable"),
		directs:    vec("walletd_direct_batches_total", "Batches of the direct way, by result.", "result", "committed", "failed"),
		size:       histogram("walletd_batch_operations", "Operations in a batch of a partition.", prometheus.ExponentialBuckets(1, 2, 12)),
		seconds:    histogram("walletd_batch_seconds", "Time from computing a batch of a partition to its known commit.", prometheus.ExponentialBuckets(0.0005, 2, 14)),
		age:        histogram("walletd_apply_age_seconds", "Age of a batch's oldest operation when it is committed, on either way.", prometheus.ExponentialBuckets(0.001, 2.5, 16)),
	}
}

// committed counts a batch of a partition.
func (m *metrics) committed(b *batch, took time.Duration) {
	m.batches.Inc()
	m.seconds.Observe(took.Seconds())
	m.size.Observe(float64(len(b.Operations)))
	m.decided(b)
}

// direct counts a batch of the direct way.
func (m *metrics) direct(b *batch, err error) {
	if err != nil {
		m.directs.WithLabelValues("failed").Inc()
		return
	}
	m.directs.WithLabelValues("committed").Inc()
	m.decided(b)
}

// decided counts the operations of a committed batch.
func (m *metrics) decided(b *batch) {
	if len(b.Operations) == 0 {
		return
	}
	var failed int
	oldest := b.Operations[0].AcceptedAt
	for i := range b.Operations {
		op := &b.Operations[i]
		if op.Status != wallet.Applied {
			failed++
		}
		if op.AcceptedAt.Before(oldest) {
			oldest = op.AcceptedAt
		}
	}
	m.age.Observe(b.at.Sub(oldest).Seconds())
	m.operations.WithLabelValues("applied").Add(float64(len(b.Operations) - failed))
	m.operations.WithLabelValues("failed").Add(float64(failed))
}

func (m *metrics) dropped(err error) {
	reason := "unavailable"
	if errors.Is(err, wallet.ErrFenced) {
		reason = "fenced"
	}
	m.drops.WithLabelValues(reason).Inc()
}
