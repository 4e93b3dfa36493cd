package journal

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
)

func TestEveryBrokersDiskIsAskedFor(t *testing.T) {
	t.Parallel()
	broker := embeddedtest.Kfake(t, kfake.NumBrokers(3))
	cfg := testConfig(broker.ListenAddrs())
	cfg.Partitions, cfg.Replication = 12, 3
	j := met(t, cfg, &fakeLedger{}, newApplier(nil))
	broker.ControlKey(int16(kmsg.DescribeLogDirs), func(r kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		resp := r.ResponseKind().(*kmsg.DescribeLogDirsResponse)
		dir := kmsg.NewDescribeLogDirsResponseDir()
		dir.Dir, dir.TotalBytes, dir.UsableBytes = "/data", 100, 50
		resp.Dirs = append(resp.Dirs, dir)
		return resp, nil, true
	})
	disks, err := j.Disks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var brokers []int32
	for _, d := range disks {
		brokers = append(brokers, d.Broker)
	}
	slices.Sort(brokers)
	if !slices.Equal(brokers, []int32{0, 1, 2}) {
		t.Errorf("asked of brokers %v: %+v", brokers, disks)
	}
}
