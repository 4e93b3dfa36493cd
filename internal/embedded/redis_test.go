package embedded

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

func TestRedisForgetsOverRestartAndKeepsItsAddress(t *testing.T) {
	r, err := StartRedis(testContext(t), RedisConfig{Dir: t.TempDir(), Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, r)
	expect := func(command, want string) {
		t.Helper()
		if got, err := redisSays(r.Addr(), command, testTimeout); err != nil || got != want {
			t.Fatalf("%s: %q, %v; want %q", command, got, err, want)
		}
	}
	expect("SET balance 7", "+OK")
	r.Pause()
	if got, err := redisSays(r.Addr(), "GET balance", 100*time.Millisecond); err == nil {
		t.Fatalf("a paused server answered %q", got)
	}
	r.Resume()
	expect("GET balance", "$1")
	r.Kill()
	if _, err := net.Dial("tcp", r.Addr()); err == nil {
		t.Fatal("a killed server listens")
	}
	if err := r.Restart(testContext(t)); err != nil {
		t.Fatal(err)
	}
	expect("GET balance", "$-1")
}

func TestRedisRefusesAPortInUse(t *testing.T) {
	listener, err := net.Listen("tcp", address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, err = StartRedis(testContext(t), RedisConfig{Dir: t.TempDir(), Port: portIn(listener.Addr().String())})
	if !errors.Is(err, ErrPortInUse) {
		t.Fatalf("got %v, want %v", err, ErrPortInUse)
	}
}
