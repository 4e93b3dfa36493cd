// Package embeddedtest gives tests their components: real servers shared by all tests of one test binary, started when the
// first test asks, migrated databases of a test's own on one of them, and in-process servers that each test has for itself.
//
// A package that uses the shared ones has this TestMain:
//
//	func TestMain(m *testing.M) { embeddedtest.Main(m) }
package embeddedtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/walletd/walletd/internal/embedded"
)

// stopper is a shared server.
type stopper interface{ Stop(context.Context) error }

// shared holds what this test binary has started.
type shared struct {
	mu      sync.Mutex
	dir     string // of all servers; "" until Main runs
	servers map[string]stopper
}

var binary = shared{servers: map[string]stopper{}}

// Main runs the tests and then stops every server that they started and removes its data. The test binary's exit status is
// that of the tests, or 1 when a server did not stop. If the binary crashes instead, the servers die with it.
func Main(m *testing.M) {
	dir, err := os.MkdirTemp("", "walletd-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "embeddedtest:", err)
		os.Exit(1)
	}
	binary.dir = dir
	code := m.Run()
	if err := binary.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "embeddedtest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func (s *shared) stop() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, server := range s.servers {
		err = errors.Join(err, server.Stop(context.Background()))
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// started returns the shared server of that name, started with a directory of its own when it is not there yet. A start that
// failed is tried again by the next test.
func started[S stopper](t testing.TB, name string, start func(dir string) (S, error)) S {
	t.Helper()
	binary.mu.Lock()
	defer binary.mu.Unlock()
	if server, ok := binary.servers[name]; ok {
		return server.(S)
	}
	if binary.dir == "" {
		t.Fatal("embeddedtest: the package's TestMain has to call embeddedtest.Main, which stops the servers")
	}
	server, err := start(filepath.Join(binary.dir, name))
	if err != nil {
		t.Fatalf("embeddedtest: start %s: %v", name, err)
	}
	binary.servers[name] = server
	return server
}

// Postgres returns this test binary's PostgreSQL server. It does not wait for the disk (fsync is off), which a killed server
// survives and a test of durability does not need; tests that measure commits take DurablePostgres. A test that kills or
// pauses it brings it back.
func Postgres(t testing.TB) *embedded.Postgres {
	t.Helper()
	return started(t, "postgres", postgres(map[string]string{"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}))
}

// DurablePostgres returns a second server, with fsync on as in production.
func DurablePostgres(t testing.TB) *embedded.Postgres {
	t.Helper()
	return started(t, "postgres-durable", postgres(map[string]string{}))
}

func postgres(settings map[string]string) func(dir string) (*embedded.Postgres, error) {
	settings["max_connections"] = "300" // tests run in parallel, each with a pool
	return func(dir string) (*embedded.Postgres, error) {
		return embedded.StartPostgres(context.Background(), embedded.PostgresConfig{Dir: dir, Settings: settings, Progress: os.Stderr})
	}
}

// Kafka returns this test binary's Apache Kafka broker. Tests share it: each makes a topic with a name of its own. A test that
// kills or pauses it brings it back.
func Kafka(t testing.TB) *embedded.Kafka {
	t.Helper()
	return started(t, "kafka", func(dir string) (*embedded.Kafka, error) {
		return embedded.StartKafka(context.Background(), embedded.KafkaConfig{Dir: dir, Progress: os.Stderr})
	})
}

// Redis returns this test binary's redis-server. Tests share it: each has keys of its own. A test that kills or pauses it
// brings it back.
func Redis(t testing.TB) *embedded.Redis {
	t.Helper()
	return started(t, "redis", func(dir string) (*embedded.Redis, error) {
		return embedded.StartRedis(context.Background(), embedded.RedisConfig{Dir: dir, Progress: os.Stderr})
	})
}
