package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/wallet"
)

// The bounds of a replay: what is fetched ahead, and how long nothing may come.
const (
	replayBytes     = 8 << 20
	replayPartBytes = 1 << 20
	replayPatience  = 30 * time.Second
)

// Replay delivers the records of each partition in [from, to), in offset order. It
// joins no consumer group, so it takes no partition from the replicas that run. An
// error of deliver ends it.
func (j *Journal) Replay(ctx context.Context, from, to map[int32]int64, deliver func([]wallet.Record) error) error {
	begin := map[int32]kgo.Offset{}
	for p, end := range to {
		if from[p] < end {
			begin[p] = kgo.NewOffset().At(from[p])
		}
	}
	if len(begin) == 0 {
		return nil
	}
	client, err := j.consumer(j.config.Topic, begin, kgo.FetchMaxBytes(replayBytes), kgo.FetchMaxPartitionBytes(replayPartBytes))
	if err != nil {
		return fmt.Errorf("prepare replaying the journal: %w", err)
	}
	defer client.Close()
	for len(begin) > 0 {
		fetches, err := poll(ctx, client, pollRecords)
		if err != nil {
			return fmt.Errorf("%s cannot be read: %w", j.config.Topic, err)
		}
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			if err == nil {
				err = deliver(decoded(within(client, f, to[f.Partition], begin)))
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// consumer returns a client that fetches a topic's partitions from these offsets, outside any
// group. A missing offset is an error. Control records are kept: a foreign transaction's
// marker has an offset too, and may be the last one.
func (j *Journal) consumer(topic string, from map[int32]kgo.Offset, more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(append(clientOptions(j.config), more...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.KeepControlRecords(),
	)...)
}

// poll waits for up to so many records, no longer than replayPatience.
func poll(ctx context.Context, client *kgo.Client, most int) (kgo.Fetches, error) {
	ctx, cancel := context.WithTimeout(ctx, replayPatience)
	defer cancel()
	fetches := client.PollRecords(ctx, most)
	return fetches, fetches.Err()
}

// within returns the records before end; when it is reached the partition is read
// no further.
func within(client *kgo.Client, f kgo.FetchTopicPartition, end int64, open map[int32]kgo.Offset) []*kgo.Record {
	var records []*kgo.Record
	for _, r := range f.Records {
		if r.Offset < end && !r.Attrs.IsControl() {
			records = append(records, r)
		}
		if _, ok := open[f.Partition]; ok && r.Offset >= end-1 {
			delete(open, f.Partition)
			client.PauseFetchPartitions(map[string][]int32{f.Topic: {f.Partition}})
		}
	}
	return records
}
