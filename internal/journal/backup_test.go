package journal

import (
	"net"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
)

// A single broker raises the epochs with every start: its backup is behind in these too.
func TestAJournalThatWasPutBackToABackupIsSeen(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), freePort(t)
	start := func(from string) *kfake.Cluster {
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(from), kfake.SyncWrites(),
			kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1"}))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	broker := start(dir + "/live")
	l, a := &fakeLedger{}, newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), l, a)
	put := func() bool { _, err := j.put(deposit(uuid.New(), 1)); return err == nil }
	eventually(t, "it is written", put)
	broker.Close()
	if err := os.CopyFS(dir+"/backup", os.DirFS(dir+"/live")); err != nil {
		t.Fatal(err)
	}

	broker = start(dir + "/live")
	for range 2 {
		if err := broker.MoveTopicPartition(j.config.Topic, 0, broker.LeaderFor(j.config.Topic, 0)); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		eventually(t, "it is written again", put)
	}
	a.until(t, "all are read", func() bool { return len(a.fetched) >= 6 })
	l.apply(6, 0)
	eventually(t, "the epoch is known", func() bool {
		j.look(l.follows().ID)
		j.leaders.mu.Lock()
		defer j.leaders.mu.Unlock()
		return j.leaders.epochs[l.follows().ID][0] >= 2
	})
	broker.Close()

	broker = start(dir + "/backup")
	t.Cleanup(broker.Close)
	eventually(t, "that it has lost its end is seen", func() bool { return j.writer.Load().writers[0].currentHold() == holdLost })
	a.until(t, "the partition is stopped", func() bool { return a.halted[0] != nil })
	end := broker.PartitionInfo(j.config.Topic, 0).HighWatermark // an operator has the ledger go on there
	a.kept.mu.Lock()
	a.kept.next[0] = end
	a.kept.mu.Unlock()
	l.apply(end, 1)
	eventually(t, "it is written as an operator has decided", put)
}

// apply has the ledger at an offset of partition 0, and so many interventions further.
func (l *fakeLedger) apply(next int64, interventions int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = map[int32]int64{0: next}
	l.topic.Generation += interventions
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
