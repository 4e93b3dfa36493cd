package journal

import (
	"context"
	"errors"
	"slices"
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
	asked  int                           // questions that were begun; each has its number
	heard  int                           // the last of those that were answered
	most   int                           // brokers that the client has known of lately
	mostAt time.Time                     // when it last knew of so many
	epochs map[uuid.UUID]map[int32]int32 // by topic and partition
}

// ask returns the number of a question to all brokers that begins now.
func (l *leaders) ask() (question int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return l.asked
}

// mostFor is how long brokers count that the client does not know of any more: a deposed leader
// that is cut off may tell of no other.
const mostFor = 10 * time.Minute

// hear notes what the brokers have answered that the client knows of; one without a topic has
// not. If all have, no fewer than there were lately, and to no later question, what was
// remembered is replaced: a journal whose disks are put back to a backup goes on with lower
// epochs. It returns how many there were lately.
func (l *leaders) hear(question int, answers []kmsg.MetadataResponseTopic) (most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(answers) >= l.most || time.Since(l.mostAt) > mostFor {
		l.most, l.mostAt = len(answers), time.Now()
	}
	isSilent := func(told kmsg.MetadataResponseTopic) bool { return told.TopicID == uuid.Nil }
	if len(answers) == l.most && !slices.ContainsFunc(answers, isSilent) && question > l.heard {
		for _, told := range answers {
			delete(l.epochs, told.TopicID)
		}
	}
	l.heard = max(l.heard, question)
	for _, told := range answers {
		if !isSilent(told) {
			l.raise(told)
		}
	}
	return l.most
}

// raise is hear for a broker's answer; mu is held.
func (l *leaders) raise(told kmsg.MetadataResponseTopic) {
	if l.epochs == nil {
		l.epochs = map[uuid.UUID]map[int32]int32{}
	}
	known := l.epochs[told.TopicID]
	if known == nil {
		known = map[int32]int32{}
		l.epochs[told.TopicID] = known
	}
	for _, p := range told.Partitions {
		known[p.Partition] = max(known[p.Partition], p.LeaderEpoch)
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

// askTimeout is how long to wait for all brokers. A start waits too, and a hung one tells nothing.
const askTimeout = time.Second

// naming is which topics have a name, as the brokers tell.
type naming struct {
	topics   map[uuid.UUID]bool // more than one while some brokers have not learnt that it was recreated
	majority bool               // of the brokers has answered
}

// lacks reports whether no broker tells of a topic, and most have answered. It may be wrong for a
// while, where those are the ones that have not learnt of it.
func (n naming) lacks(topic uuid.UUID) bool { return n.majority && !n.topics[topic] }

// isDoubted reports whether some broker tells of another topic than this.
func (n naming) isDoubted(topic uuid.UUID) bool {
	return len(n.topics) > 1 || len(n.topics) == 1 && !n.topics[topic]
}

// askLeaders asks every broker known to the client for a topic's leaders: a new leader knows of
// its role before it serves.
func (j *Journal) askLeaders(ctx context.Context, topic string) naming {
	ctx, cancel := context.WithTimeout(ctx, min(askTimeout, j.config.RequestTimeout))
	defer cancel()
	question, brokers := j.leaders.ask(), j.client.DiscoveredBrokers()
	answers, errs := make([]kmsg.MetadataResponseTopic, len(brokers)), make([]error, len(brokers))
	var asking sync.WaitGroup
	for i, broker := range brokers {
		asking.Go(func() { answers[i], errs[i] = topicAsToldBy(ctx, broker, topic) })
	}
	asking.Wait()
	most := j.leaders.hear(question, answers)
	answered := len(slices.DeleteFunc(errs, func(err error) bool { return err != nil }))
	n := naming{topics: map[uuid.UUID]bool{}, majority: 2*answered > most}
	for _, a := range answers {
		if a.TopicID != uuid.Nil {
			n.topics[a.TopicID] = true
		}
	}
	return n
}

// topicAsToldBy is without an id if the broker does not know the topic.
func topicAsToldBy(ctx context.Context, broker kmsg.Requestor, topic string) (none kmsg.MetadataResponseTopic, _ error) {
	request, asked := kmsg.NewPtrMetadataRequest(), kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	request.Topics = append(request.Topics, asked)
	answer, err := request.RequestWith(ctx, broker)
	if err != nil {
		return none, err
	}
	if len(answer.Topics) != 1 {
		return none, errNoAnswer
	}
	if err := kerr.ErrorForCode(answer.Topics[0].ErrorCode); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return none, err
	}
	return answer.Topics[0], nil
}

var errNoAnswer = errors.New("a broker says nothing of the topic")

// errTwoTopics says that what a broker tells may be of the topic before.
var errTwoTopics = errors.New("brokers do not agree on which topic has that name, or most do not answer")

// endsOf asks for the next offset of each partition of a topic, and for the topics of that name.
// With an error, which may be that only a deposed leader has answered, those of some partitions
// are there; none while some broker tells of another topic than id, unless that is Nil.
func (j *Journal) endsOf(ctx context.Context, name string, id uuid.UUID) (map[int32]int64, naming, error) {
	listed, err := j.listEnds(ctx, name)
	return j.believed(ctx, name, id, listed, err)
}

// believed is endsOf for listed ends. Leaders are asked for only then, so ends told by
// deposed ones show.
func (j *Journal) believed(ctx context.Context, name string, id uuid.UUID, listed kadm.ListedOffsets, err error) (map[int32]int64, naming, error) {
	n := j.askLeaders(ctx, name)
	if len(n.topics) > 1 || id != uuid.Nil && n.isDoubted(id) {
		return nil, n, errors.Join(err, errTwoTopics)
	}
	ends, err := listedOffsets(j.leaders.fenced(id, listed), err)
	return ends, n, err
}

// listEnds asks whoever leads, or believes to.
func (j *Journal) listEnds(ctx context.Context, name string) (kadm.ListedOffsets, error) {
	ctx, cancel := context.WithTimeout(ctx, j.config.RequestTimeout)
	defer cancel()
	return j.admin.ListEndOffsets(ctx, name)
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
