//go:build !production

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/walletd/walletd/internal/config"
	"github.com/walletd/walletd/internal/embedded"
)

// componentsCommand runs the real components without the service.
type componentsCommand struct {
	Dir     string `help:"Where their data are kept." default:".walletd/components" type:"path"`
	EnvFile string `help:"Written when all of them serve: the variables that point walletd at them." type:"path"`
	HeapMiB int    `name:"heap-mib" help:"Heap of the Kafka broker." default:"1024"`

	PageCache bool `help:"The broker acknowledges from the page cache, as one of a cluster does, instead of writing every record to disk first."`
}

// Run starts a real PostgreSQL, Kafka broker and Redis, all as child processes,
// and stops them on a signal.
func (c componentsCommand) Run(ctx context.Context) error {
	var pg *embedded.Postgres
	var kafka *embedded.Kafka
	var redis *embedded.Redis
	properties := map[string]string{}
	if c.PageCache {
		properties = embedded.PageCache
	}
	stop := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), devStopTimeout)
		defer cancel()
		var errs []error
		if kafka != nil {
			errs = append(errs, kafka.Stop(ctx))
		}
		if redis != nil {
			errs = append(errs, redis.Stop(ctx))
		}
		if pg != nil {
			errs = append(errs, pg.Stop(ctx))
		}
		return errors.Join(errs...)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		pg, err = embedded.StartPostgres(gctx, embedded.PostgresConfig{Dir: filepath.Join(c.Dir, "postgres"), Progress: os.Stderr})
		return err
	})
	g.Go(func() (err error) {
		kafka, err = embedded.StartKafka(gctx, embedded.KafkaConfig{Dir: filepath.Join(c.Dir, "kafka"), HeapMiB: c.HeapMiB, Production: true,
			ExtraProperties: properties, Progress: os.Stderr})
		return err
	})
	g.Go(func() (err error) {
		redis, err = embedded.StartRedis(gctx, embedded.RedisConfig{Dir: filepath.Join(c.Dir, "redis"), Progress: os.Stderr})
		return err
	})
	err := g.Wait()
	if err == nil {
		err = c.announce(pg, kafka, redis)
	}
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, stop())
}

// variables are how walletd, and walletctl, are told where components are.
func variables(p config.Postgres, brokers []string, redis string) string {
	all := append(p.Environ(), "WALLETD_KAFKA_BROKERS="+strings.Join(brokers, ","), "WALLETD_REDIS_ADDRESS="+redis)
	return strings.Join(all, "\n") + "\n"
}

// announce says where the components are, in the form that walletd is configured.
func (c componentsCommand) announce(pg *embedded.Postgres, kafka *embedded.Kafka, redis *embedded.Redis) error {
	var p config.Postgres
	if err := p.Point(pg.DSN()); err != nil {
		return err
	}
	text := variables(p, kafka.Brokers(), redis.Addr())
	if c.EnvFile == "" {
		_, err := fmt.Print(text)
		return err
	}
	return os.WriteFile(c.EnvFile, []byte(text), 0o600)
}
