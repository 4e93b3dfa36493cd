package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/build"
)

// observe registers the metrics that are read off the components' state.
func (s *system) observe() {
	gauge := func(name, help string, labels prometheus.Labels, read func() float64) {
		s.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, read))
	}
	up := func(component string, err func() error) {
		gauge("walletd_component_up", "1 while the component answers; of kafka, while every partition can be written.", prometheus.Labels{"component": component}, func() float64 {
			if err() != nil {
				return 0
			}
			return 1
		})
	}
	gauge("walletd_build_info", "1, labelled with the version that runs.", prometheus.Labels{"version": build.Version()}, func() float64 { return 1 })
	up("postgres", s.ledger.Err)
	up("kafka", s.journal.Available)
	up("redis", s.balances.Err)
	gauge("walletd_journal_partitions", "Partitions of the journal; 0: it was not met yet.", nil, func() float64 { return float64(s.journal.PartitionCount()) })
	gauge("walletd_http_connections", "Connections to the API that are open.", nil, func() float64 { open, _ := s.servers.connections(); return float64(open) })
	s.metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "walletd_http_connections_shed_total", Help: "Connections to the API that were closed to make room for others, or turned away.",
	}, func() float64 { _, shed := s.servers.connections(); return float64(shed) }))
	gauge("walletd_cache_dirty", "Wallets whose balance in Redis waits for repair.", nil, func() float64 { return float64(s.balances.Dirty()) })
}
