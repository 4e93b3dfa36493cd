// Package e2e_test checks walletd from outside: replicas of the real binary run as
// child processes against a real PostgreSQL, a real Kafka broker and a real
// redis-server, which the tests kill and freeze, and everything is judged by what
// HTTP answers, by the whole history of each wallet, and by what is in the journal.
//
// The binaries are built with the race detector if the tests are; a race or a panic in
// a replica fails the test that ran it. The components are shared: a test that takes one away
// brings it back, and is not parallel.
package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/walletd/walletd/internal/embedded"
)

// patience bounds each wait for something that has to happen; it is reached only
// when something is broken.
const patience = 40 * time.Second

// world is what all tests share: binaries and components, made when first asked for.
var world struct {
	dir       string
	walletd   func() error
	walletctl func() error
	postgres  func() (*embedded.Postgres, error)
	kafka     func() (*embedded.Kafka, error)
	redis     func() (*embedded.Redis, error)

	mu      sync.Mutex
	started []interface{ Stop(context.Context) error }
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "walletd-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	furnish(dir)
	code := m.Run()
	for _, s := range world.started {
		err = errors.Join(err, s.Stop(context.Background()))
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func furnish(dir string) {
	ctx := context.Background()
	world.dir = dir
	world.walletd = sync.OnceValue(func() error { return build(dir, raced(), "../cmd/walletd") })
	world.walletctl = sync.OnceValue(func() error { return build(dir, "-race=false", "../cmd/walletctl") })
	world.postgres = sync.OnceValues(func() (*embedded.Postgres, error) {
		return kept(embedded.StartPostgres(ctx, embedded.PostgresConfig{
			Dir: filepath.Join(dir, "postgres"), Progress: os.Stderr,
			// A killed server survives without waiting for the disk.
			Settings: map[string]string{"fsync": "off", "full_page_writes": "off", "max_connections": "200"},
		}))
	})
	world.kafka = sync.OnceValues(func() (*embedded.Kafka, error) {
		return kept(embedded.StartKafka(ctx, embedded.KafkaConfig{Dir: filepath.Join(dir, "kafka"), Progress: os.Stderr}))
	})
	world.redis = sync.OnceValues(func() (*embedded.Redis, error) {
		return kept(embedded.StartRedis(ctx, embedded.RedisConfig{Dir: filepath.Join(dir, "redis"), Progress: os.Stderr}))
	})
}

// raced is the build flag that these tests were built with.
func raced() string {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return "-race=" + s.Value
		}
	}
	return "-race=false"
}

func build(dir string, args ...string) error {
	args = append([]string{"build", "-o", dir + string(filepath.Separator)}, args...)
	if output, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}

func kept[S interface{ Stop(context.Context) error }](s S, err error) (S, error) {
	if err == nil {
		world.mu.Lock()
		defer world.mu.Unlock()
		world.started = append(world.started, s)
	}
	return s, err
}

// must ends the test on an error.
func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// walletd returns the path of the binary.
func walletd(t testing.TB) string {
	t.Helper()
	if err := world.walletd(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(world.dir, "walletd")
}

// walletctl returns the path of the binary.
func walletctl(t testing.TB) string {
	t.Helper()
	if err := world.walletctl(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(world.dir, "walletctl")
}

// eventually polls until what is true, for at most patience: for conditions that
// nothing signals.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	if !within(patience, is) {
		t.Fatalf("after %s still not: %s", patience, what)
	}
}

func within(d time.Duration, is func() bool) bool {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return false
		}
	}
	return true
}

// elapse lets time pass while a load is under way: the duration is what is tested.
func elapse(d time.Duration) { <-time.After(d) }
