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

// leaders remember the last leaders of topics' partitions by their epochs: each leader has a higher
// one than those before it. One that was deposed and does not know it, being cut off from the
// other brokers, answers on, and tells an end that may be too short. Safe for concurrent use.
type leaders struct {
	mu     sync.Mutex
	epochs map[uuid.UUID]map[int32]int32 // by topic and partition
}

// hear notes what a broker tells.
func (l *leaders) hear(told kmsg.MetadataResponseTopic) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := uuid.UUID(told.TopicID)
	if l.epochs == nil {
		l.epochs = map[uuid.UUID]map[int32]int32{}
	}
	if l.epochs[id] == nil {
		l.epochs[id] = map[int32]int32{}
	}
	for _, p := range told.Partitions {
		l.epochs[id][p.Partition] = max(l.epochs[id][p.Partition], p.LeaderEpoch)
	}
}

// fenced replaces the ends of a topic that were not told by its last leaders by an error.
func (l *leaders) fenced(topic uuid.UUID, listed kadm.ListedOffsets) kadm.ListedOffsets {
	l.mu.Lock()
	defer l.mu.Unlock()
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err == nil && o.LeaderEpoch >= 0 && o.LeaderEpoch < l.epochs[topic][o.Partition] {
			o.Err = kerr.FencedLeaderEpoch
			listed[o.Topic][o.Partition] = o
		}
	})
	return listed
}

// askMost is how long all brokers are waited for: a start waits too, and one that hangs is no news.
const askMost = time.Second

// askLeaders asks every broker for a topic's leaders, for a broker knows that it leads before it
// does. It returns the ids that the topic has: more than one while some have not learnt that
// it was made anew, and none if nobody answers.
func (j *Journal) askLeaders(ctx context.Context, topic string) map[uuid.UUID]bool {
	ctx, cancel := context.WithTimeout(ctx, min(askMost, j.RequestTimeout))
	defer cancel()
	var asking sync.WaitGroup
	var mu sync.Mutex
	ids := map[uuid.UUID]bool{}
	for _, broker := range j.client.DiscoveredBrokers() {
		asking.Go(func() {
			if told := topicAsToldBy(ctx, broker, topic); told.TopicID != uuid.Nil {
				j.leaders.hear(told)
				mu.Lock()
				defer mu.Unlock()
				ids[told.TopicID] = true
			}
		})
	}
	asking.Wait()
	return ids
}

// topicAsToldBy is without an id if the broker does not answer or know the topic.
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

// endsOf asks for the next offset of each partition of a topic, and for its ids. With an error,
// which may be that only a deposed leader has answered, those of some partitions are there.
func (j *Journal) endsOf(ctx context.Context, name string, id uuid.UUID) (ends map[int32]int64, ids map[uuid.UUID]bool, err error) {
	listing, cancel := context.WithTimeout(ctx, j.RequestTimeout)
	defer cancel()
	listed, err := j.admin.ListEndOffsets(listing, name)
	ids = j.askLeaders(ctx, name) // afterwards: who was deposed before it told an end is found out
	ends, err = listedOffsets(j.leaders.fenced(id, listed), err)
	return ends, ids, err
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
