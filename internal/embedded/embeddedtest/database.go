package embeddedtest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/embedded"
	"github.com/walletd/walletd/internal/ledger"
)

// template is the migrated database that every test's own is a copy of.
var template struct {
	once sync.Once
	err  error
}

const templateName = "template_migrated"

var databases atomic.Int64

// Database returns the DSN of a database of the test's own on this test binary's PostgreSQL: migrated and empty.
func Database(t testing.TB) string {
	t.Helper()
	server := Postgres(t)
	template.once.Do(func() { template.err = makeTemplate(server) })
	if template.err != nil {
		t.Fatalf("embeddedtest: make the template database: %v", template.err)
	}
	return create(t, server, " TEMPLATE "+templateName)
}

// EmptyDatabase returns the DSN of a database without any table.
func EmptyDatabase(t testing.TB) string {
	t.Helper()
	return create(t, Postgres(t), "")
}

func create(t testing.TB, server *embedded.Postgres, from string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if err := execute(server, "CREATE DATABASE "+name+from); err != nil {
		t.Fatalf("embeddedtest: make a database: %v", err)
	}
	return server.DSNFor(name)
}

func makeTemplate(server *embedded.Postgres) error {
	if err := execute(server, "CREATE DATABASE "+templateName); err != nil {
		return err
	}
	l, err := ledger.Open(LedgerConfig(server.DSNFor(templateName)))
	if err != nil {
		return err
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	_, err = l.Migrate(ctx)
	return err
}

func execute(server *embedded.Postgres, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, server.DSN())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	_ = conn.Close(ctx) // nothing is pending on it
	return err
}

// LedgerConfig is how tests open a ledger: with few connections, for they run in parallel, and without a log.
func LedgerConfig(dsn string) ledger.Config {
	return ledger.Config{
		DSN: dsn, CommitConnections: 4, ReadConnections: 4,
		ConnectTimeout: 5 * time.Second, CommitTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second,
		LockTimeout: 200 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	}
}
