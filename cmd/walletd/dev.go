//go:build !production

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/walletd/walletd/internal/config"
	"github.com/walletd/walletd/internal/embedded"
	"github.com/walletd/walletd/internal/httpapi"
)

type devCommands struct {
	Dev        devCommand        `cmd:"" help:"Run the service with everything it needs, from one command: for trying it and for developing against it."`
	Components componentsCommand `cmd:"" help:"Run a real PostgreSQL, Kafka broker and Redis, for 'serve' on this machine: for measuring and testing."`
}

type devCommand struct {
	Dir string `help:"Where data are kept between runs." default:".walletd" type:"path"`
}

const devStopTimeout = 30 * time.Second

// Run starts the components, the service, and ends both on a signal.
func (d devCommand) Run(ctx context.Context, c *cli) error {
	cfg, err := loadDev(c.Config)
	if err != nil {
		return usageError{err}
	}
	if err := checkPorts(cfg); err != nil {
		return err
	}
	log := newLog(cfg, os.Stderr)
	parts, err := embedded.StartDev(ctx, embedded.DevConfig{Dir: d.Dir, Log: log, Progress: os.Stderr})
	if err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.Background(), devStopTimeout)
		defer cancel()
		if err := parts.Stop(stop); err != nil {
			log.Error("a component did not stop in order", "error", err)
		}
	}()
	if cfg, err = useParts(cfg, parts); err != nil {
		return err
	}
	operators, err := d.forOperators(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-parts.Exited():
			cancel(errors.New("PostgreSQL has ended by itself; its log is in " + d.Dir))
		case <-ctx.Done():
		}
	}()
	err = serve(ctx, cfg, log, func(s *system) {
		if s.awaitComponents(ctx) {
			greet(s, d.Dir, operators)
		}
	})
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// devSettings are what dev uses where there is no config.env: its own components take the
// place of those named here.
var devSettings = []string{
	"WALLETD_HTTP_ADDRESS=127.0.0.1:8080", "WALLETD_PPROF_ADDRESS=127.0.0.1:8081", "WALLETD_METRICS_ADDRESS=127.0.0.1:8082",
	"WALLETD_POSTGRES_HOST=localhost", "WALLETD_POSTGRES_USER=walletd", "WALLETD_POSTGRES_DATABASE=walletd",
	"WALLETD_KAFKA_BROKERS=localhost:9092", "WALLETD_KAFKA_TOPIC=walletd.journal", "WALLETD_KAFKA_GROUP=walletd",
	"WALLETD_REDIS_ADDRESS=localhost:6379",
}

func loadDev(file string) (config.Config, error) {
	environ := os.Environ()
	if _, err := os.Stat(config.DefaultFile); file == "" && errors.Is(err, os.ErrNotExist) {
		environ = append(slices.Clone(devSettings), environ...)
	}
	return config.Load(file, environ)
}

// checkPorts finds a port in use before anything is fetched or started.
func checkPorts(cfg config.Config) error {
	sv := &servers{}
	sv.addAll(cfg, nil, nil, nil)
	if err := sv.listen(); err != nil {
		return err
	}
	for _, s := range sv.all {
		s.listener.Close()
	}
	return nil
}

// useParts points the configuration at the embedded components.
func useParts(cfg config.Config, parts *embedded.Dev) (config.Config, error) {
	err := cfg.Postgres.Point(parts.DSN())
	cfg.Kafka.Brokers, cfg.Kafka.Replication, cfg.Kafka.TLS, cfg.Kafka.SASL = parts.Brokers(), 1, "off", ""
	cfg.Redis.Address, cfg.Redis.TLS, cfg.Redis.Username, cfg.Redis.Password = parts.RedisAddr(), "off", "", ""
	return cfg, err
}

// componentsPoll is how often it is looked whether all components are up.
const componentsPoll = 20 * time.Millisecond

// awaitComponents waits until the ledger is migrated, the journal is met and all is
// up: who tries what greet shows gets a wallet. It is false when ctx has ended.
func (s *system) awaitComponents(ctx context.Context) bool {
	tick := time.NewTicker(componentsPoll)
	defer tick.Stop()
	for slices.ContainsFunc(s.Components(), func(c httpapi.Component) bool { return !c.Up }) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// forOperators writes what walletctl's commands for operators find the components by.
func (d devCommand) forOperators(cfg config.Config) (file string, err error) {
	file = filepath.Join(d.Dir, "operators.env")
	text := variables(cfg.Postgres, cfg.Kafka.Brokers, cfg.Redis.Address) +
		fmt.Sprintf("WALLETD_KAFKA_TOPIC=%s\nWALLETD_KAFKA_GROUP=%s\n", cfg.Kafka.Topic, cfg.Kafka.Group)
	// It has a password: what was there may be open to others, and is replaced.
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return file, err
	}
	return file, os.WriteFile(file, []byte(text), 0o600)
}

func greet(s *system, dir, operators string) {
	a := s.addresses
	fmt.Printf(`
walletd is running. Data are kept in %s; ctrl-C stops everything.

  API and Swagger UI   http://%s/api/v1/swagger/index.html
  pprof                http://%s/debug/pprof/
  metrics              http://%s/metrics

Try it:

  curl -sX POST http://%s/api/v1/wallet/create
  walletctl audit --config %s

`, dir, a.HTTP, a.Pprof, a.Metrics, a.HTTP, operators)
}
