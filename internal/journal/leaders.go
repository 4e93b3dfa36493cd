package journal

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// epochs are the leader epochs of a topic's partitions. Each leader of a partition has a higher
// one than the leaders before it. A leader that was deposed and does not know it, being cut off
// from the other brokers, answers on, and tells an end that may be too short.
type epochs map[int32]int32

// fenced replaces the ends that were told by leaders before these by an error.
func (e epochs) fenced(listed kadm.ListedOffsets) kadm.ListedOffsets {
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err == nil && o.LeaderEpoch >= 0 && o.LeaderEpoch < e[o.Partition] {
			o.Err = kerr.FencedLeaderEpoch
			listed[o.Topic][o.Partition] = o
		}
	})
	return listed
}

// leaderEpochs asks every broker for a topic's leaders and returns the last ones, those with the
// highest epochs: a broker knows that it leads before it does. Of brokers that do not
// answer nothing is known.
func (j *Journal) leaderEpochs(ctx context.Context, topic string) epochs {
	ctx, cancel := context.WithTimeout(ctx, j.RequestTimeout)
	defer cancel()
	var asking sync.WaitGroup
	var mu sync.Mutex
	last := epochs{}
	for _, broker := range j.client.DiscoveredBrokers() {
		asking.Go(func() {
			told := topicAsToldBy(ctx, broker, topic)
			mu.Lock()
			defer mu.Unlock()
			for _, p := range told.Partitions {
				last[p.Partition] = max(last[p.Partition], p.LeaderEpoch)
			}
		})
	}
	asking.Wait()
	return last
}

// topicAsToldBy is without partitions if the broker does not answer or know the topic.
func topicAsToldBy(ctx context.Context, broker kmsg.Requestor, topic string) (none kmsg.MetadataResponseTopic) {
	request, asked := kmsg.NewPtrMetadataRequest(), kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	request.Topics = append(request.Topics, asked)
	answer, err := request.RequestWith(ctx, broker)
	if err != nil || len(answer.Topics) != 1 {
		return none
	}
	return answer.Topics[0]
}

// endsOf asks for the next offset of each partition of a topic. With an error, which may be that
// only a deposed leader has answered, those of some are there.
func (j *Journal) endsOf(ctx context.Context, topic string) (map[int32]int64, error) {
	last := j.leaderEpochs(ctx, topic)
	ctx, cancel := context.WithTimeout(ctx, j.RequestTimeout)
	defer cancel()
	listed, err := j.admin.ListEndOffsets(ctx, topic)
	return listedOffsets(last.fenced(listed), err)
}

func listedOffsets(listed kadm.ListedOffsets, err error) (map[int32]int64, error) {
	if err == nil {
		err = listed.Error()
	}
	byPartition := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err == nil {
			byPartition[o.Partition] = o.Offset
		}
	})
	return byPartition, err
}
