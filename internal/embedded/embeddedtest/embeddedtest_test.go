package embeddedtest

import (
	"net"
	"net/url"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

func TestServersAnswerAndAreShared(t *testing.T) {
	postgres := Postgres(t)
	if postgres != Postgres(t) || Kafka(t) != Kafka(t) || Redis(t) != Redis(t) {
		t.Fatal("a second server was started")
	}
	dsn, err := url.Parse(postgres.DSN())
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{dsn.Host, Kafka(t).Brokers()[0], Redis(t).Addr(), Kfake(t).ListenAddrs()[0], Miniredis(t).Addr()} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}

func TestInProcessOnesAreTheTestsOwn(t *testing.T) {
	if Kfake(t) == Kfake(t) || Miniredis(t) == Miniredis(t) {
		t.Fatal("shared with another test")
	}
}
