package journal

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The vectors of Kafka's own tests (UtilsTest.testMurmur2).
func TestMurmur2IsKafkas(t *testing.T) {
	for text, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		if got := int32(murmur2([]byte(text))); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// Whoever reads or writes the journal with another client finds a wallet's records
// in the same partition.
func TestPartitionIsTheOneThatOtherClientsChoose(t *testing.T) {
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic("journal")
	used := map[int]bool{}
	for i := range 2_000 {
		id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, i))
		for _, n := range []int{1, 2, 3, 12, 100, 10_000} {
			got := int(PartitionAmong(id, int32(n)))
			if want := partitioner.Partition(&kgo.Record{Key: []byte(id.String())}, n); got != want {
				t.Fatalf("%s of %d partitions: %d, want %d", id, n, got, want)
			}
			if n == 12 {
				used[got] = true
			}
		}
	}
	if len(used) != 12 {
		t.Errorf("%d of 12 partitions are used", len(used))
	}
}
