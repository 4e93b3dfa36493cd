package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/config"
	"github.com/walletd/walletd/internal/connect"
	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/ledger"
)

// components are where the commands of operators find PostgreSQL and Kafka: as
// walletd itself does, whose configuration they read.
type components struct {
	Config string `type:"path" placeholder:"FILE" help:"walletd's configuration, to find its components; the environment overrides it. Default: config.env, if there is one."`
}

func (c *components) load() (config.Config, error) {
	cfg, err := config.LoadComponents(c.Config, os.Environ())
	if err != nil {
		return cfg, &failure{exitUsage, err}
	}
	return cfg, nil
}

// The operator's own connections and patience, never walletd's.
const (
	operatorConnections = 2
	kafkaRequestTimeout = 5 * time.Second
)

// ledger opens the ledger; the caller closes it. statement bounds each statement.
func (c *components) ledger(statement time.Duration) (*ledger.Ledger, error) {
	cfg, err := c.load()
	if err != nil {
		return nil, err
	}
	lc := connect.Ledger(cfg.Postgres)
	lc.CommitConnections, lc.ReadConnections = operatorConnections, operatorConnections
	lc.CommitTimeout, lc.ReadTimeout, lc.LockTimeout = statement, statement, statement/2
	lc.Log = slog.New(slog.DiscardHandler)
	l, err := ledger.Open(lc)
	if err != nil {
		return nil, &failure{exitUsage, err}
	}
	return l, nil
}

// journal opens the journal; the caller closes it. It belongs to no group.
func (c *components) journal() (*journal.Journal, error) {
	cfg, err := c.load()
	if err != nil {
		return nil, err
	}
	jc, err := connect.Journal(cfg.Kafka)
	if err != nil {
		return nil, &failure{exitUsage, err}
	}
	jc.RequestTimeout, jc.Replica, jc.Log = kafkaRequestTimeout, uuid.New(), slog.New(slog.DiscardHandler)
	j, err := journal.Open(jc)
	if err != nil {
		return nil, &failure{exitUsage, err}
	}
	return j, nil
}

// operator is who intervenes, and why: what the trace in the ledger keeps.
type operator struct {
	By     string `placeholder:"NAME" help:"Who does it, for the trace in the ledger. Default: the user and host of this system."`
	Reason string `placeholder:"TEXT" help:"Why, for the trace in the ledger."`
}

// maxTraceBytes bounds each text of a trace.
const maxTraceBytes = 500

// Validate is kong's.
func (o *operator) Validate() error {
	switch {
	case len(o.By) > maxTraceBytes:
		return fmt.Errorf("--by must be of at most %d bytes", maxTraceBytes)
	case len(o.Reason) > maxTraceBytes:
		return fmt.Errorf("--reason must be of at most %d bytes", maxTraceBytes)
	}
	return nil
}

func (o *operator) who() string {
	if o.By != "" {
		return o.By
	}
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}

var errNoReason = errors.New("--reason is missing: why, for the trace in the ledger")
