package embedded

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"
)

// DevConfig says where `walletd dev` keeps its data; only Dir is required.
type DevConfig struct {
	Dir      string       // keeps data, logs, ports and lock
	Log      *slog.Logger // nil discards
	Progress io.Writer    // told what takes long; nil for silence
}

// Dev is the components of `walletd dev`: a PostgreSQL child, and a journal and a cache inside this process.
type Dev struct {
	config   DevConfig
	lock     *fileLock
	postgres *Postgres
	journal  *devJournal
	cache    *devCache

	stop    sync.Once
	stopErr error
}

// StartDev starts all components at the same time and returns when they serve. They listen on loopback, on the ports of the
// last run where those are free. Data of the last run are there again, also after kill -9 of everything; the cache begins
// empty. A directory that another process uses is ErrDirInUse; the other errors are those of StartPostgres, and whatever was
// started by then has been stopped. The caller stops it.
func StartDev(ctx context.Context, config DevConfig) (*Dev, error) {
	d := &Dev{config: config}
	if err := d.open(); err != nil {
		return nil, err
	}
	ports := readPorts(d.path("ports.json"))
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.startPostgres(groupCtx, ports.Postgres) })
	group.Go(func() error { return d.startJournal(ports.Kafka) })
	group.Go(func() error { return d.startCache(ports.Redis) })
	err := group.Wait()
	if err == nil {
		err = writePorts(d.path("ports.json"), d.ports())
	}
	if err != nil {
		return nil, errors.Join(explain(err, d.config.Dir), d.Stop(context.WithoutCancel(ctx)))
	}
	return d, nil
}

// open makes the directory and takes its lock.
func (d *Dev) open() (err error) {
	if d.config.Log == nil {
		d.config.Log = slog.New(slog.DiscardHandler)
	}
	if d.config.Dir, err = filepath.Abs(d.config.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(d.config.Dir, 0o755); err != nil {
		return explain(err, d.config.Dir)
	}
	d.lock, err = tryLock(d.path("lock"))
	return explain(err, d.config.Dir)
}

func (d *Dev) path(name string) string { return filepath.Join(d.config.Dir, name) }

func (d *Dev) startPostgres(ctx context.Context, port int) (err error) {
	d.postgres, err = StartPostgres(ctx, PostgresConfig{
		Dir: d.path("postgres"), Log: d.config.Log, Progress: d.config.Progress, preferred: port,
	})
	return err
}

func (d *Dev) startJournal(port int) (err error) {
	d.journal, err = openJournal(d.path("journal"), port, d.config.Log)
	return err
}

func (d *Dev) startCache(port int) (err error) {
	d.cache, err = openCache(port)
	return err
}

// DSN is the connection URL of PostgreSQL.
func (d *Dev) DSN() string { return d.postgres.DSN() }

// Brokers is the address of the journal, as Kafka clients take it.
func (d *Dev) Brokers() []string { return []string{d.journal.addr} }

// RedisAddr is the address of the cache, host:port.
func (d *Dev) RedisAddr() string { return d.cache.server.Addr() }

// Exited is closed when the PostgreSQL child has ended, be it by Stop or by itself.
func (d *Dev) Exited() <-chan struct{} { return d.postgres.Exited() }

// Stop stops everything that StartDev started and waits for it; PostgreSQL is killed when ctx is done first, which the error
// says. Stopping again does nothing and returns the same.
func (d *Dev) Stop(ctx context.Context) error {
	d.stop.Do(func() {
		if d.journal != nil {
			d.journal.cluster.Close()
		}
		if d.cache != nil {
			d.cache.close()
		}
		if d.postgres != nil {
			d.stopErr = d.postgres.Stop(ctx)
		}
		d.lock.release()
	})
	return d.stopErr
}
