package auditor_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/config"
	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// patience bounds each wait; it is reached only when something is broken.
const patience = 60 * time.Second

const partitions = 2

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// places are the three that are audited, each the test's own: a database of the
// real PostgreSQL, a broker and a cache in-process.
type places struct {
	t      testing.TB
	cfg    config.Config
	topic  wallet.Topic
	ledger *ledger.Ledger
	conn   *pgx.Conn
	kafka  *kgo.Client
	redis  *miniredis.Miniredis
}

var template struct {
	sync.Once
	err error
}

var databases atomic.Int64

func newPlaces(t testing.TB) *places {
	t.Helper()
	broker, redis := embeddedtest.Kfake(t), embeddedtest.Miniredis(t)
	p := &places{t: t, redis: redis}
	p.cfg.Postgres = database(t)
	p.cfg.Kafka = config.Kafka{Brokers: broker.ListenAddrs(), Topic: "journal", Group: "auditor", SessionTimeout: 6 * time.Second}
	p.cfg.Redis = config.Redis{Address: redis.Addr(), TTL: time.Hour}
	p.ledger = must[*ledger.Ledger](t)(ledger.Open(ledgerConfig(p.cfg.Postgres.DSN())))
	t.Cleanup(p.ledger.Close)
	p.conn = must[*pgx.Conn](t)(pgx.Connect(testContext(t), p.cfg.Postgres.DSN()))
	t.Cleanup(func() { _ = p.conn.Close(context.Background()) })
	p.kafka = must[*kgo.Client](t)(kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner())))
	t.Cleanup(p.kafka.Close)
	p.topic = p.makeTopic("journal", partitions)
	p.makeTopic("journal.dead-letters", 1)
	must[wallet.Topic](t)(p.ledger.Follow(testContext(t), p.topic))
	for n := range int32(partitions) {
		must[wallet.Progress](t)(p.ledger.Partition(testContext(t), p.topic.ID, n))
	}
	return p
}

func (p *places) makeTopic(name string, n int32) wallet.Topic {
	p.t.Helper()
	admin := kadm.NewClient(p.kafka)
	made := must[kadm.CreateTopicResponse](p.t)(admin.CreateTopic(testContext(p.t), n, 1, nil, name))
	return wallet.Topic{Name: name, ID: uuid.UUID(made.ID), Partitions: n}
}

func ledgerConfig(dsn string) ledger.Config {
	return ledger.Config{
		DSN: dsn, CommitConnections: 4, ReadConnections: 2, ConnectTimeout: 5 * time.Second, CommitTimeout: 10 * time.Second,
		ReadTimeout: 10 * time.Second, LockTimeout: 200 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	}
}

// database is a copy of a migrated one.
func database(t testing.TB) config.Postgres {
	t.Helper()
	const from = "auditor_template"
	server := embeddedtest.Postgres(t)
	template.Do(func() { template.err = makeTemplate(t, server.DSN(), server.DSNFor(from), from) })
	if template.err != nil {
		t.Fatal(template.err)
	}
	name := fmt.Sprintf("auditor_%d", databases.Add(1))
	execute(t, server.DSN(), "CREATE DATABASE "+name+" TEMPLATE "+from)
	var p config.Postgres
	if err := p.Point(server.DSNFor(name)); err != nil {
		t.Fatal(err)
	}
	return p
}

func makeTemplate(t testing.TB, server, dsn, name string) error {
	execute(t, server, "CREATE DATABASE "+name)
	l, err := ledger.Open(ledgerConfig(dsn))
	if err != nil {
		return err
	}
	defer l.Close()
	_, err = l.Migrate(testContext(t))
	return err
}

func execute(t testing.TB, dsn, sql string) {
	t.Helper()
	conn := must[*pgx.Conn](t)(pgx.Connect(testContext(t), dsn))
	defer conn.Close(context.Background())
	if _, err := conn.Exec(testContext(t), sql); err != nil {
		t.Fatal(err)
	}
}
