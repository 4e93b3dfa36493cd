package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// freePorts returns ports that nobody listens on now, below those that the kernel gives
// to outgoing connections: brokers that begin to connect would take each other's.
func freePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	for tries := 0; len(ports) < n; tries++ {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 20_000+rand.IntN(12_000)))
		if err != nil {
			if tries > 100 {
				t.Fatal(err)
			}
			continue
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// stoppedAfter ends the test on an error, and stops the component at its end.
func stoppedAfter[S interface{ Stop(context.Context) error }](t testing.TB) func(S, error) S {
	return func(s S, err error) S {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		return s
	}
}
