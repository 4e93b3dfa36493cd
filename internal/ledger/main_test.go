package ledger_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/ledger"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// patience bounds each wait; it is reached only when something is broken.
const patience = 30 * time.Second

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// template is the migrated database that every test's own is a copy of.
var template struct {
	sync.Once
	err error
}

const templateName = "ledger_template"

var databases atomic.Int64

// database returns the DSN of a database of the test's own: migrated and empty.
func database(t testing.TB) string {
	t.Helper()
	template.Do(func() { template.err = makeTemplate(t) })
	if template.err != nil {
		t.Fatal(template.err)
	}
	return create(t, "TEMPLATE "+templateName)
}

// unmigrated returns the DSN of a database without any table.
func unmigrated(t testing.TB) string { return create(t, "") }

func create(t testing.TB, from string) string {
	t.Helper()
	name := fmt.Sprintf("ledger_%d", databases.Add(1))
	run(t, embeddedtest.Postgres(t).DSN(), "CREATE DATABASE "+name+" "+from)
	return embeddedtest.Postgres(t).DSNFor(name)
}

func makeTemplate(t testing.TB) error {
	server := embeddedtest.Postgres(t)
	run(t, server.DSN(), "CREATE DATABASE "+templateName)
	l, err := ledger.Open(config(server.DSNFor(templateName)))
	if err != nil {
		return err
	}
	defer l.Close()
	_, err = l.Migrate(testContext(t))
	return err
}

func config(dsn string) ledger.Config {
	return ledger.Config{
		DSN: dsn, CommitConnections: 4, ReadConnections: 4,
		ConnectTimeout: 5 * time.Second, CommitTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second,
		LockTimeout: 200 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	}
}

// open opens a ledger with its breaker running, until the test ends.
func open(t testing.TB, cfg ledger.Config) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { l.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		l.Close()
	})
	return l
}

// connect returns a connection of the test's own, for what only a foreigner does.
func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(testContext(t), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func run(t testing.TB, dsn, statement string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(testContext(t), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // nothing is pending on it
	exec(t, conn, statement, args...)
}

func exec(t testing.TB, conn *pgx.Conn, statement string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(testContext(t), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// eventually waits for what nothing signals.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
