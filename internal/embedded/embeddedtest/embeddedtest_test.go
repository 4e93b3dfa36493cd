package embeddedtest

import (
	"net"
	"net/url"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

func TestServersAnswerAndAreShared(t *testing.T) {
	postgres, kafka, redis := Postgres(t), Kafka(t), Redis(t)
	if postgres != Postgres(t) || kafka != Kafka(t) || redis != Redis(t) {
		t.Fatal("a second server was started")
	}
	dsn, err := url.Parse(postgres.DSN())
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{dsn.Host, kafka.Brokers()[0], redis.Addr(), Kfake(t).ListenAddrs()[0], Miniredis(t).Addr()} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}
