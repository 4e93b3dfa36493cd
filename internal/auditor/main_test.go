package auditor_test

import (
	"context"
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

// Waiting is the same in all packages.
var testContext = embeddedtest.Context

const patience = embeddedtest.Patience

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

func newPlaces(t testing.TB) *places {
	t.Helper()
	broker, redis := embeddedtest.Kfake(t), embeddedtest.Miniredis(t)
	p := &places{t: t, redis: redis}
	p.cfg.Postgres = database(t)
	p.cfg.Kafka = config.Kafka{Brokers: broker.ListenAddrs(), Topic: "journal", Group: "auditor", SessionTimeout: 6 * time.Second}
	p.cfg.Redis = config.Redis{Address: redis.Addr(), TTL: time.Hour}
	p.ledger = must[*ledger.Ledger](t)(ledger.Open(embeddedtest.LedgerConfig(p.cfg.Postgres.DSN())))
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

// database is a migrated one of the test's own.
func database(t testing.TB) config.Postgres {
	t.Helper()
	var p config.Postgres
	if err := p.Point(embeddedtest.Database(t)); err != nil {
		t.Fatal(err)
	}
	return p
}
