package journal

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaders are what the brokers tell of a topic.
type leaders struct {
	topics map[uuid.UUID]bool // the ids that it has: more than one while some have not learnt that it was made anew
	epochs map[int32]int32    // of its partitions' last leaders
}

// leadersMost is how long all are waited for: a start waits too, and one that hangs is no news.
const leadersMost = time.Second

// leaders asks every broker. Each leader of a partition has a higher epoch than those before it,
// and a broker knows that it leads before it does. Of brokers that do not answer nothing is known.
func (j *Journal) leaders(ctx context.Context, topic string) leaders {
	ctx, cancel := context.WithTimeout(ctx, min(leadersMost, j.RequestTimeout))
	defer cancel()
	var asking sync.WaitGroup
	var mu sync.Mutex
	last := leaders{map[uuid.UUID]bool{}, map[int32]int32{}}
	for _, broker := range j.client.DiscoveredBrokers() {
		asking.Go(func() {
			told := topicAsToldBy(ctx, broker, topic)
			mu.Lock()
			defer mu.Unlock()
			last.add(told)
		})
	}
	asking.Wait()
	return last
}

func (l leaders) add(told kmsg.MetadataResponseTopic) {
	if told.TopicID != uuid.Nil {
		l.topics[told.TopicID] = true
	}
	for _, p := range told.Partitions {
		l.epochs[p.Partition] = max(l.epochs[p.Partition], p.LeaderEpoch)
	}
}

// fenced replaces the ends that were told by leaders before these by an error. A leader that was
// deposed and does not know it, being cut off from the other brokers, answers on, and tells
// an end that may be too short.
func (l leaders) fenced(listed kadm.ListedOffsets) kadm.ListedOffsets {
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err == nil && o.LeaderEpoch >= 0 && o.LeaderEpoch < l.epochs[o.Partition] {
			o.Err = kerr.FencedLeaderEpoch
			listed[o.Topic][o.Partition] = o
		}
	})
	return listed
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
	return j.endsToldBy(ctx, topic, j.leaders(ctx, topic))
}

// endsToldBy does not believe leaders before the last ones.
func (j *Journal) endsToldBy(ctx context.Context, topic string, last leaders) (map[int32]int64, error) {
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
