package applier

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// gauges are read off the applier at each scrape. If they were set when something
// happened, they would keep their value after their partition has moved to another replica.
type gauges struct{ applier *Applier }

var (
	oldestUnapplied = prometheus.NewDesc("walletd_oldest_unapplied_seconds",
		"Age of the oldest record that a partition's owner has and has not applied; 0: none. Only owned partitions have it.", []string{"partition"}, nil)
	requeuedLists = prometheus.NewDesc("walletd_requeued_lists",
		"Wallets that are set aside. Only owned partitions have it.", []string{"partition"}, nil)
	oldestUnjournaled = prometheus.NewDesc("walletd_oldest_unjournaled_seconds",
		"Age of the oldest creation or direct operation that the last look found without its record in the journal; 0: none. Only the owner of partition 0 has it.", nil, nil)
	partitionStopped = prometheus.NewDesc("walletd_partition_stopped",
		"1 while a partition waits for an operator's decision.", []string{"partition"}, nil)
)

// Describe implements prometheus.Collector.
func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- oldestUnapplied
	ch <- requeuedLists
	ch <- oldestUnjournaled
	ch <- partitionStopped
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	a := g.applier
	a.mu.Lock()
	defer a.mu.Unlock()
	send := func(d *prometheus.Desc, partition int32, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, strconv.Itoa(int(partition)))
	}
	now := a.Now()
	for p, w := range a.workers {
		send(oldestUnapplied, p, w.oldestAge(now).Seconds())
		send(requeuedLists, p, float64(w.listCount.Load()))
		if p == backfiller {
			ch <- prometheus.MustNewConstMetric(oldestUnjournaled, prometheus.GaugeValue, age(w.oldestUnjournaled.Load(), now).Seconds())
		}
		if a.stopped[p] == nil {
			send(partitionStopped, p, 0)
		}
	}
	for p := range a.stopped {
		send(partitionStopped, p, 1)
	}
}

// oldestAge is the age of the oldest operation that is being applied or waits for it.
func (w *worker) oldestAge(now time.Time) time.Duration {
	at := w.oldestApplying.Load()
	if at == 0 {
		at = w.door.firstAccepted()
	}
	return age(at, now)
}

// age is how long ago something was, in microseconds since 1970; 0: nothing was.
func age(at int64, now time.Time) time.Duration {
	if at == 0 {
		return 0
	}
	return max(0, now.Sub(time.UnixMicro(at))) // replicas' clocks differ
}

// firstAccepted is that of the queue.
func (d *door) firstAccepted() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return firstAccepted(d.queue)
}
