package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/twmb/franz-go/pkg/kfake"
)

// devJournal is a Kafka broker inside this process.
type devJournal struct {
	cluster *kfake.Cluster
	addr    string
}

// openJournal starts the broker on the data in dir, on the port if that is free, else on another; it advertises the one it has.
//
// kfake writes and syncs every batch before it acknowledges it, and writes topics (with their ids) when they change, so
// acknowledged records, their offsets and the topic ids survive kill -9; a torn last batch is cut off. What kill -9 loses is
// the sequence numbers by which a broker recognises an idempotent producer's retries, which matters to nobody: the producers
// are in this process too and begin anew. Consumer groups' committed offsets are kept, but if the kill tore the last entry of
// that file, those committed afterwards are lost at the next kill; walletd reads from the ledger's offsets. Against a power
// failure it is weaker than a real broker: it ignores errors of fsync and does not sync directories.
func openJournal(dir string, port int, log *slog.Logger) (*devJournal, error) {
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return listenPreferring(port) }),
		kfake.DataDir(dir),
		kfake.SyncWrites(),
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1"}),
		kfake.WithLogger(journalLog{log}),
	)
	if err != nil {
		return nil, fmt.Errorf("start the journal in %s (to begin anew, move it away together with the database beside it, "+
			"which follows it): %w", dir, err)
	}
	return &devJournal{cluster, cluster.ListenAddrs()[0]}, nil
}

// journalLog passes what the broker complains about to the log; its lines on every request are left out.
type journalLog struct{ log *slog.Logger }

// Logf logs errors and warnings.
func (l journalLog) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.log.Log(context.Background(), slog.LevelError, fmt.Sprintf(format, args...), "component", "journal")
	case kfake.LogLevelWarn:
		l.log.Log(context.Background(), slog.LevelWarn, fmt.Sprintf(format, args...), "component", "journal")
	}
}
