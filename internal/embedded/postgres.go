package embedded

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
)

const (
	postgresMajor = "17"
	postgresUser  = "walletd" // a superuser, and the name of the database
)

// PostgresConfig says how a PostgreSQL server is started; only Dir is required.
type PostgresConfig struct {
	Dir      string            // keeps data, log and lock of this server
	Port     int               // 0 takes a free one
	Settings map[string]string // server settings, over postgresql.conf; fsync and synchronous_commit are on by default
	Log      *slog.Logger      // nil discards
	Progress io.Writer         // told what takes long; nil for silence

	preferred int // port to take when Port is 0 and nothing listens on it; 0 for none
}

// Postgres is a running PostgreSQL 17 server: a child process that listens on loopback only.
type Postgres struct {
	server
	config   PostgresConfig
	binaries string
	run      identity
	password string
}

// StartPostgres starts a PostgreSQL server on the data in config.Dir, made first when there is none, and returns when it
// accepts connections. The programs are fetched when the cache has none. Run by root, the server runs as nobody.
//
// What a crash left is put right: a server that still runs on these data is stopped, a half-made data directory of ours is
// made again. Errors say what to do and wrap ErrFetch, ErrPortInUse, ErrDirInUse, ErrOtherVersion, ErrHalfWritten, ErrNoSpace
// or ErrPermission where that is the reason. The caller stops the server.
func StartPostgres(ctx context.Context, config PostgresConfig) (*Postgres, error) {
	p := &Postgres{config: config}
	if err := p.init("PostgreSQL", config.Dir, config.Log); err != nil {
		return nil, err
	}
	p.launch = p.launchOnPort
	if err := p.open(ctx, p.prepare); err != nil {
		return nil, err
	}
	return p, nil
}

// prepare readies everything that a start needs: the programs, the user, the data.
func (p *Postgres) prepare(ctx context.Context) (err error) {
	if p.run, err = unprivileged(p.dataDir()); err != nil {
		return err
	}
	if p.run, err = p.run.reaching(p.dataDir()); err != nil {
		return err
	}
	if p.binaries, err = postgresBinaries(ctx, p.config.Progress, p.run); err != nil {
		return err
	}
	if err := p.prepareData(ctx); err != nil {
		return err
	}
	password, err := os.ReadFile(p.passwordFile())
	p.password = string(password)
	return err
}

func (p *Postgres) binary(name string) string { return filepath.Join(p.binaries, "bin", name) }
func (p *Postgres) dataDir() string           { return filepath.Join(p.dir, "data") }

// DSN is the connection URL of the database walletd, as its superuser of the same name.
func (p *Postgres) DSN() string { return p.DSNFor(postgresUser) }

// DSNFor is the connection URL of another database of this server.
func (p *Postgres) DSNFor(database string) string {
	dsn := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(postgresUser, p.password),
		Host:     address(p.Port()),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return dsn.String()
}

// Port is where the server listens; it stays the same over restarts.
func (p *Postgres) Port() int { return p.config.Port }

// launchOnPort starts the server on its port, or on the one that it prefers.
func (p *Postgres) launchOnPort(ctx context.Context) (*child, error) {
	if err := p.clearRemains(ctx); err != nil {
		return nil, err
	}
	if p.config.Port == 0 && p.config.preferred != 0 && checkPort(p.name, p.config.preferred) == nil {
		p.config.Port = p.config.preferred
	}
	return p.onPort(&p.config.Port, func(port int) (*child, error) { return p.launchPostmaster(ctx, port) })
}

func (p *Postgres) launchPostmaster(ctx context.Context, port int) (*child, error) {
	child, err := startChild(p.command("postgres", p.arguments(port)...))
	if err != nil {
		return nil, err
	}
	return child, child.await(ctx, func() bool { return p.ready(child.pid()) })
}
