package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/walletd/walletd/internal/build"
	"github.com/walletd/walletd/internal/config"
	"github.com/walletd/walletd/internal/connect"
	"github.com/walletd/walletd/internal/ledger"
)

type serveCommand struct{}

// Run serves until a signal ends it.
func (serveCommand) Run(ctx context.Context, c *cli) error {
	cfg, err := config.Load(c.Config, os.Environ())
	if err != nil {
		return usageError{err}
	}
	return serve(ctx, cfg, newLog(cfg, os.Stderr), nil)
}

// serve runs a system until ctx ends. started is called when it listens.
func serve(ctx context.Context, cfg config.Config, log *slog.Logger, started func(*system)) error {
	collectLess(cfg)
	s, err := newSystem(cfg, log)
	if err != nil {
		return usageError{err} // nothing is connected yet
	}
	if err := s.Start(); err != nil {
		return err
	}
	log.Info("walletd serves", "version", build.Version(), "replica", s.Replica, "http", s.addresses.HTTP, "pprof", s.addresses.Pprof, "metrics", s.addresses.Metrics)
	if started != nil {
		started(s)
	}
	select {
	case <-ctx.Done():
	case err = <-s.servers.failed:
	}
	s.Close(cfg.ShutdownDelay, cfg.ShutdownTimeout)
	log.Info("walletd has stopped")
	return err
}

func newLog(cfg config.Config, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

func openLedger(cfg config.Config, log *slog.Logger) (*ledger.Ledger, error) {
	c := connect.Ledger(cfg.Postgres)
	c.Log = log
	return ledger.Open(c)
}

type migrateCommand struct{}

// migrateTimeout bounds a migration; replicas wait as long for one another.
const migrateTimeout = 10 * time.Minute

// Run migrates the ledger.
func (migrateCommand) Run(ctx context.Context, c *cli) error {
	cfg, err := config.Load(c.Config, os.Environ())
	if err != nil {
		return usageError{err}
	}
	l, err := openLedger(cfg, newLog(cfg, os.Stderr))
	if err != nil {
		return usageError{err}
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	applied, err := l.Migrate(ctx)
	for _, name := range applied {
		fmt.Println("applied", name)
	}
	if err == nil && len(applied) == 0 {
		fmt.Println("the ledger's schema is up to date")
	}
	return err
}

type healthcheckCommand struct{}

const healthcheckTimeout = 3 * time.Second

// Run asks the service on this host whether it is ready.
func (healthcheckCommand) Run(ctx context.Context, c *cli) error {
	cfg, err := config.Load(c.Config, os.Environ())
	if err != nil {
		return usageError{err}
	}
	host, port, err := net.SplitHostPort(cfg.HTTPAddress)
	if err != nil {
		return usageError{err}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", body)
	}
	fmt.Println(string(body))
	return nil
}
