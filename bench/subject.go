package main

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walletd/walletd/internal/embedded"
)

// subject is a service that is measured.
type subject struct {
	name    string
	process *process
	start   func(context.Context) error // of walletd: starts it, again after a stop
	more    []string                    // environment of its next launch, over its usual one
	parts   map[string]int              // process ids whose CPU is spent on its requests
	ledger  *pgxpool.Pool               // nil: nothing is kept, nothing to check
	told    answers                     // of all loads
}

// subjects are all services of a run, each with a ledger of its own.
type subjects map[string]*subject

func (s subjects) stop() {
	for _, one := range s {
		one.process.stop()
		if one.ledger != nil {
			one.ledger.Close()
		}
	}
}

// The names of the subjects.
const (
	emptyHandler = "empty"
	inMemory     = "memory"
	rowLock      = "row-lock"
	atomicUpdate = "atomic"
	flushed      = "flushed"
	replicated   = "replicated"
)

// startSubjects starts those of the names that are asked for. bin has walletd.
func startSubjects(ctx context.Context, c *components, bin string, names map[string]bool) (subjects, error) {
	all := subjects{}
	for _, start := range []struct {
		name string
		run  func() (*subject, error)
	}{
		{emptyHandler, func() (*subject, error) { return c.rival(ctx, bin, emptyHandler, "") }},
		{inMemory, func() (*subject, error) { return c.rival(ctx, bin, inMemory, "") }},
		{rowLock, func() (*subject, error) { return c.rival(ctx, bin, rowLock, "row_lock") }},
		{atomicUpdate, func() (*subject, error) { return c.rival(ctx, bin, atomicUpdate, "atomic") }},
		{flushed, func() (*subject, error) { return c.walletd(ctx, bin, flushed, c.flushed) }},
		{replicated, func() (*subject, error) { return c.walletd(ctx, bin, replicated, c.replicated) }},
	} {
		if !names[start.name] {
			continue
		}
		s, err := start.run()
		if err != nil {
			all.stop()
			return nil, err
		}
		s.name = start.name
		all[start.name] = s
	}
	return all, nil
}

// rival starts a rival of walletd; one without a database keeps nothing.
func (c *components) rival(ctx context.Context, bin, name, database string) (s *subject, err error) {
	s = &subject{parts: map[string]int{}}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	args := []string{"serve", name, "--address", address}
	if database != "" {
		dsn, err := c.database(ctx, database)
		if err != nil {
			return nil, err
		}
		args = append(args, "--dsn", dsn)
		if s.ledger, err = pgxpool.New(ctx, dsn); err != nil {
			return nil, err
		}
		s.parts["postgres"] = c.postgres.Pid()
	}
	s.process, err = launch(ctx, c.dir, name, address, "/", nil, filepath.Join(bin, "bench"), args...)
	if err != nil {
		return nil, err
	}
	s.parts[service] = s.process.Process.Pid
	return s, nil
}

func (c *components) walletd(ctx context.Context, bin, name string, kafka *embedded.Kafka) (*subject, error) {
	dsn, err := c.database(ctx, "walletd_"+name)
	if err != nil {
		return nil, err
	}
	env, err := c.variables(dsn, kafka, "walletd."+name)
	if err != nil {
		return nil, err
	}
	var addresses [3]string
	for i, variable := range []string{"HTTP", "PPROF", "METRICS"} {
		if addresses[i], err = freeAddress(); err != nil {
			return nil, err
		}
		env = append(env, "WALLETD_"+variable+"_ADDRESS="+addresses[i])
	}
	ledger, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return nil, err
	}
	s := &subject{ledger: ledger, parts: map[string]int{"postgres": c.postgres.Pid(), "kafka": kafka.Pid(), "redis": c.redis.Pid()}}
	s.start = func(ctx context.Context) (err error) {
		s.process, err = launch(ctx, c.dir, "walletd-"+name, addresses[0], "/readyz", append(slices.Clone(env), s.more...), filepath.Join(bin, "walletd"), "serve")
		if err == nil {
			s.parts[service] = s.process.Process.Pid
		}
		return err
	}
	return s, s.start(ctx)
}
