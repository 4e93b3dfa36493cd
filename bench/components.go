package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/walletd/walletd/internal/config"
	"github.com/walletd/walletd/internal/embedded"
)

// brokerHeapMiB is what a broker that is measured gets.
const brokerHeapMiB = 1024

// components are what all subjects share, each a process of its own on loopback.
type components struct {
	dir        string
	postgres   *embedded.Postgres
	flushed    *embedded.Kafka // writes every record to disk before it acknowledges
	replicated *embedded.Kafka // as a broker of a cluster: acknowledges from the page cache
	redis      *embedded.Redis
	pool       *pgxpool.Pool // for checks
}

// startComponents starts PostgreSQL 17 with fsync and synchronous_commit on, two
// Kafka brokers and Redis. The caller stops them.
func startComponents(ctx context.Context, dir string, say io.Writer) (*components, error) {
	c := &components{dir: dir}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		c.postgres, err = embedded.StartPostgres(gctx, embedded.PostgresConfig{Dir: filepath.Join(dir, "postgres"), Progress: say,
			Settings: postgresSettings})
		return err
	})
	g.Go(func() (err error) { c.flushed, err = broker(gctx, dir, "flushed", nil, say); return err })
	g.Go(func() (err error) {
		c.replicated, err = broker(gctx, dir, "replicated", embedded.PageCache, say)
		return err
	})
	g.Go(func() (err error) {
		c.redis, err = embedded.StartRedis(gctx, embedded.RedisConfig{Dir: filepath.Join(dir, "redis"), Progress: say})
		return err
	})
	err := g.Wait()
	if err == nil {
		c.pool, err = pgxpool.New(ctx, c.postgres.DSN())
	}
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// postgresSettings are those of the compose file, but for wal_compression: this build
// of PostgreSQL has no lz4, and pglz costs more processor than what it saves is worth.
var postgresSettings = map[string]string{"shared_buffers": "256MB", "max_wal_size": "2GB", "checkpoint_timeout": "15min", "wal_compression": "off"}

func broker(ctx context.Context, dir, name string, properties map[string]string, say io.Writer) (*embedded.Kafka, error) {
	return embedded.StartKafka(ctx, embedded.KafkaConfig{Dir: filepath.Join(dir, name), HeapMiB: brokerHeapMiB, Production: true,
		ExtraProperties: properties, Progress: say})
}

func (c *components) stop() (err error) {
	ctx := context.Background() // each stop has its own bound
	if c.pool != nil {
		c.pool.Close()
	}
	for _, k := range []*embedded.Kafka{c.flushed, c.replicated} {
		if k != nil {
			err = errors.Join(err, k.Stop(ctx))
		}
	}
	if c.redis != nil {
		err = errors.Join(err, c.redis.Stop(ctx))
	}
	if c.postgres != nil {
		err = errors.Join(err, c.postgres.Stop(ctx))
	}
	return err
}

// database makes a new one and returns its DSN.
func (c *components) database(ctx context.Context, name string) (string, error) {
	if _, err := c.pool.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	return c.postgres.DSNFor(name), nil
}

// variables point a walletd at the components.
func (c *components) variables(dsn string, kafka *embedded.Kafka, name string) ([]string, error) {
	var p config.Postgres
	if err := p.Point(dsn); err != nil {
		return nil, err
	}
	return append(p.Environ(),
		"WALLETD_KAFKA_BROKERS="+strings.Join(kafka.Brokers(), ","), "WALLETD_KAFKA_TOPIC="+name, "WALLETD_KAFKA_GROUP="+name,
		"WALLETD_REDIS_ADDRESS="+c.redis.Addr()), nil
}

// workDir makes the directory of a run. PostgreSQL runs as another user when this
// is root, and has to reach its own.
func workDir() (string, error) {
	dir, err := os.MkdirTemp("", "walletd-bench-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	return dir, nil
}
