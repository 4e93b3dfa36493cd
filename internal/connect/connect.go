// Package connect turns what the configuration says of a component into what its
// package is opened with. Who opens it sets what is its own: its name, log and patience.
package connect

import (
	"fmt"

	"github.com/walletd/walletd/internal/balance"
	"github.com/walletd/walletd/internal/config"
	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/ledger"
)

// Ledger is how the ledger is reached.
func Ledger(p config.Postgres) ledger.Config {
	return ledger.Config{
		DSN: p.DSN(), CommitConnections: p.CommitConnections, ReadConnections: p.ReadConnections,
		ConnectTimeout: p.ReadTimeout, CommitTimeout: p.CommitTimeout, ReadTimeout: p.ReadTimeout, LockTimeout: p.LockTimeout,
	}
}

// Journal is how the journal is reached. An error is a certificate that cannot be
// read any more.
func Journal(k config.Kafka) (journal.Config, error) {
	tls, err := k.TLSConfig()
	if err != nil {
		return journal.Config{}, fmt.Errorf("WALLETD_KAFKA_%w", err)
	}
	sasl, err := journal.SASL(k.SASL, k.Username, string(k.Password))
	if err != nil {
		return journal.Config{}, fmt.Errorf("WALLETD_KAFKA_SASL: %w", err)
	}
	return journal.Config{
		Brokers: k.Brokers, TLS: tls, SASL: sasl,
		Topic: k.Topic, Group: k.Group, Partitions: k.Partitions, Replication: k.Replication,
		AckTimeout: k.AckTimeout, SessionTimeout: k.SessionTimeout,
	}, nil
}

// Cache is how the balance cache is reached. An error is a certificate that cannot
// be read any more.
func Cache(r config.Redis) (balance.Config, error) {
	tls, err := r.TLSConfig()
	if err != nil {
		return balance.Config{}, fmt.Errorf("WALLETD_REDIS_%w", err)
	}
	return balance.Config{
		Address: r.Address, TLS: tls, Username: r.Username, Password: string(r.Password), Timeout: r.Timeout, TTL: r.TTL,
	}, nil
}
