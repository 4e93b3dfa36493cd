package journal

import (
	"net"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
)

// backedUp is a journal on a single broker that has a backup, which is behind: in epochs too,
// which a single broker raises with every start. The ledger has applied all there is.
type backedUp struct {
	*Journal
	ledger  *fakeLedger
	applier *fakeApplier
	broker  *kfake.Cluster
	dir     string
	port    int
}

func newBackedUp(t *testing.T) *backedUp {
	t.Helper()
	b := &backedUp{ledger: &fakeLedger{}, applier: newApplier(nil), dir: t.TempDir(), port: freePort(t)}
	b.start(t, "/live")
	b.Journal = met(t, testConfig(b.broker.ListenAddrs()), b.ledger, b.applier)
	eventually(t, "it is written", b.writes)
	b.broker.Close()
	if err := os.CopyFS(b.dir+"/backup", os.DirFS(b.dir+"/live")); err != nil {
		t.Fatal(err)
	}
	b.start(t, "/live")
	for range 2 {
		if err := b.broker.MoveTopicPartition(b.config.Topic, 0, b.broker.LeaderFor(b.config.Topic, 0)); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		eventually(t, "it is written again", b.writes)
	}
	b.applier.until(t, "all are read", func() bool { return len(b.applier.fetched) >= 6 })
	b.ledger.apply(6, 0)
	eventually(t, "the epoch is known", func() bool {
		b.look(b.ledger.follows().ID)
		b.leaders.mu.Lock()
		defer b.leaders.mu.Unlock()
		return b.leaders.epochs[b.ledger.follows().ID][0] >= 2
	})
	return b
}

// start starts the broker with these disks, in place of the one that ran.
func (b *backedUp) start(t *testing.T, disks string) {
	t.Helper()
	if b.broker != nil {
		b.broker.Close()
	}
	var err error
	b.broker, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(b.port), kfake.DataDir(b.dir+disks), kfake.SyncWrites(),
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.broker.Close)
}

func (b *backedUp) writes() bool { _, err := b.put(deposit(uuid.New(), 1)); return err == nil }

func TestAJournalThatWasPutBackToABackupIsSeen(t *testing.T) {
	t.Parallel()
	b := newBackedUp(t)
	b.start(t, "/backup")
	a, l := b.applier, b.ledger
	eventually(t, "that it has lost its end is seen", func() bool { return b.writer.Load().writers[0].currentHold() == holdLost })
	a.until(t, "the partition is stopped", func() bool { return a.halted[0] != nil })
	end := b.broker.PartitionInfo(b.config.Topic, 0).HighWatermark // an operator has the ledger go on there
	a.kept.mu.Lock()
	a.kept.next[0] = end
	a.kept.mu.Unlock()
	l.apply(end, 1)
	eventually(t, "it is written as an operator has decided", b.writes)
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
