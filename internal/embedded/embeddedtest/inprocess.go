package embeddedtest

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Kfake returns an in-process broker of the test's own, in memory, closed at its end. Faults are injected with its
// ControlKey; its address is ListenAddrs. The options come after the defaults: one node, nothing expires.
func Kfake(t testing.TB, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	defaults := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1"}),
	}
	cluster, err := kfake.NewCluster(append(defaults, options...)...)
	if err != nil {
		t.Fatalf("embeddedtest: start kfake: %v", err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// Miniredis returns an in-process Redis of the test's own, closed at its end. Its clock is the test's: keys expire by
// FastForward only.
func Miniredis(t testing.TB) *miniredis.Miniredis {
	t.Helper()
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		t.Fatalf("embeddedtest: start miniredis: %v", err)
	}
	t.Cleanup(server.Close)
	return server
}
