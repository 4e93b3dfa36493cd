package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/config"
	"github.com/walletd/walletd/internal/embedded"
)

// stack is the components with a database, a topic and a group of the test's own,
// and the replicas that run against them.
type stack struct {
	t        testing.TB
	postgres *embedded.Postgres
	kafka    *embedded.Kafka
	brokers  []string // as the test reaches them
	redis    *embedded.Redis
	database string
	topic    string
	replicas []*replica
	kafkaAPI *kgo.Client
	always   []string // NAME=value for everything that runs against the stack

	// kafkaWentAway allows direct operations to pass what was answered 202.
	kafkaWentAway bool
}

var stacks atomic.Int64

// partitions of each stack's topic: enough for two replicas to share.
const partitions = 4

// newStack makes a database and names a topic. No replica runs yet.
func newStack(t testing.TB) *stack {
	t.Helper()
	postgres, kafka := must[*embedded.Postgres](t)(world.postgres()), must[*embedded.Kafka](t)(world.kafka())
	return newStackOn(t, postgres, must[*embedded.Redis](t)(world.redis()), kafka)
}

// newStackOn is newStack on these components.
func newStackOn(t testing.TB, postgres *embedded.Postgres, redis *embedded.Redis, kafka *embedded.Kafka, more ...*embedded.Kafka) *stack {
	t.Helper()
	s := &stack{t: t, postgres: postgres, kafka: kafka, brokers: kafka.Brokers(), redis: redis}
	for _, k := range more {
		s.brokers = append(s.brokers, k.Brokers()...)
	}
	n := stacks.Add(1)
	s.database, s.topic = fmt.Sprintf("e2e_%d", n), fmt.Sprintf("e2e.%d", n)
	s.exec(s.postgres.DSN(), "CREATE DATABASE "+s.database)
	var err error
	if s.kafkaAPI, err = kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kafkaAPI.Close)
	return s
}

// startStack is newStack with n replicas that are ready.
func startStack(t testing.TB, n int, env ...string) *stack {
	t.Helper()
	s := newStack(t)
	// Long enough that an outcome is waited for also by a busy machine: what promises a
	// latency measures it itself.
	s.add(n, append([]string{"WALLETD_WAIT=5s"}, env...)...)
	for _, r := range s.replicas {
		r.ready()
	}
	s.shared(s.replicas...)
	return s
}

// add starts replicas, with NAME=value over the usual configuration.
func (s *stack) add(n int, env ...string) {
	s.t.Helper()
	for range n {
		r := newReplica(s.t, fmt.Sprintf("replica%d", len(s.replicas)), s.env(env...))
		r.start()
		s.replicas = append(s.replicas, r)
	}
}

func (s *stack) env(extra ...string) map[string]string {
	var at config.Postgres
	if err := at.Point(s.postgres.DSNFor(s.database)); err != nil {
		s.t.Fatal(err)
	}
	env := map[string]string{
		"WALLETD_KAFKA_BROKERS": strings.Join(s.brokers, ","), "WALLETD_KAFKA_TOPIC": s.topic, "WALLETD_KAFKA_GROUP": s.topic,
		"WALLETD_KAFKA_PARTITIONS": strconv.Itoa(partitions), "WALLETD_REDIS_ADDRESS": s.redis.Addr(),
	}
	for _, kv := range slices.Concat(at.Environ(), s.always, extra) {
		k, v, _ := strings.Cut(kv, "=")
		maps.Copy(env, map[string]string{k: v})
	}
	return env
}

// shared waits until the partitions are shared out among these replicas.
func (s *stack) shared(among ...*replica) {
	s.t.Helper()
	admin := kadm.NewClient(s.kafkaAPI)
	eventually(s.t, fmt.Sprintf("%d replicas share the partitions", len(among)), func() bool {
		groups, err := admin.DescribeGroups(context.Background(), s.topic)
		if err != nil {
			return false
		}
		g := groups[s.topic]
		return g.State == "Stable" && len(g.Members) == len(among) && len(g.AssignedPartitions()[s.topic]) == partitions
	})
}

// dsn is the stack's database.
func (s *stack) dsn() string { return s.postgres.DSNFor(s.database) }

func (s *stack) connect() *pgx.Conn {
	s.t.Helper()
	conn, err := pgx.Connect(context.Background(), s.dsn())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (s *stack) exec(dsn, sql string) {
	s.t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		s.t.Fatal(err)
	}
}

// count returns a query's one number.
func (s *stack) count(sql string, args ...any) int64 {
	s.t.Helper()
	conn, err := pgx.Connect(context.Background(), s.dsn())
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var n int64
	if err := conn.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// ends asks Kafka for the end offset of each partition of the journal.
func (s *stack) ends() map[int32]int64 {
	s.t.Helper()
	var listed kadm.ListedOffsets
	var err error
	within(patience, func() bool { // a broker that was away may have no leader yet
		if listed, err = kadm.NewClient(s.kafkaAPI).ListEndOffsets(context.Background(), s.topic); err == nil {
			err = listed.Error()
		}
		return err == nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends
}

// drained waits until the ledger has passed all that is in the journal, nothing is
// requeued, and every direct operation has its backfill record.
func (s *stack) drained() {
	s.t.Helper()
	var state string
	eventuallySaying(s.t, "the journal is applied", func() bool {
		state = s.behind()
		return state == ""
	}, func() string { return state })
}

func (s *stack) behind() string {
	conn, err := pgx.Connect(context.Background(), s.dsn())
	if err != nil {
		return err.Error()
	}
	defer conn.Close(context.Background())
	var requeued, unjournaled int
	next := map[int32]int64{}
	err = conn.QueryRow(context.Background(), "SELECT (SELECT count(*) FROM requeued), (SELECT count(*) FROM unjournaled)").Scan(&requeued, &unjournaled)
	if err != nil {
		return err.Error()
	}
	rows, err := conn.Query(context.Background(), "SELECT partition, next_offset FROM journal_offsets JOIN journal USING (topic_id)")
	if err != nil {
		return err.Error()
	}
	var p int32
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&p, &n}, func() error { next[p] = n; return nil }); err != nil {
		return err.Error()
	}
	ends := s.ends()
	for p, end := range ends {
		if next[p] != end {
			return fmt.Sprintf("partitions end at %v, the ledger is at %v", ends, next)
		}
	}
	if requeued+unjournaled > 0 {
		return fmt.Sprintf("%d requeued, %d without backfill", requeued, unjournaled)
	}
	return ""
}

// eventuallySaying is eventually that says how things are when they are wrong.
func eventuallySaying(t testing.TB, what string, is func() bool, state func() string) {
	t.Helper()
	if !within(patience, is) {
		t.Fatalf("after %s still not: %s: %s", patience, what, state())
	}
}

// records reads a topic from its beginning to its present end.
func (s *stack) records(topic string) []*kgo.Record {
	s.t.Helper()
	admin := kadm.NewClient(s.kafkaAPI)
	ends, err := admin.ListEndOffsets(context.Background(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	from, missing := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			from[o.Partition], missing[o.Partition] = kgo.NewOffset().At(0), o.Offset
		}
	})
	if len(from) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all []*kgo.Record
	for len(missing) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			s.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			all = append(all, r)
			if r.Offset+1 >= missing[r.Partition] {
				delete(missing, r.Partition)
			}
		})
	}
	return all
}

// wallet makes a wallet.
func (s *stack) wallet() uuid.UUID {
	s.t.Helper()
	return s.replicas[0].create(s.t)
}

// wallets makes n wallets.
func (s *stack) wallets(n int) []uuid.UUID {
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = s.wallet()
	}
	return ids
}

// owner returns the replica that the group has given the partition to.
func (s *stack) owner(partition int32) *replica {
	s.t.Helper()
	groups, err := kadm.NewClient(s.kafkaAPI).DescribeGroups(context.Background(), s.topic)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range groups[s.topic].Members {
		a, ok := m.Assigned.AsConsumer()
		if !ok {
			continue
		}
		for _, t := range a.Topics {
			for _, p := range t.Partitions {
				if p != partition {
					continue
				}
				for _, r := range s.replicas {
					if strings.Contains(r.current().output(), strings.TrimPrefix(m.ClientID, "walletd-")) {
						return r
					}
				}
			}
		}
	}
	return nil
}
