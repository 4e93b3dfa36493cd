package journal

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/walletd/walletd/internal/wallet"
)

// stale are brokers that have not learnt that the topic was made anew: they tell of the one
// before, and where that ends.
type stale struct {
	healed  atomic.Bool
	answers atomic.Int32 // of the topic before
	ends    atomic.Int32 // of where that ends
}

// endBefore is where the partition of the topic before ends.
const endBefore = 1

// goStale makes brokers stale, whose partition 0 is led by a broker of theirs in a higher epoch.
func goStale(t *testing.T, cluster *kfake.Cluster, topic string, isStale func(node int32) bool) *stale {
	t.Helper()
	request, asked := kmsg.NewPtrMetadataRequest(), kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	request.Topics = append(request.Topics, asked)
	metadata, err := request.RequestWith(t.Context(), client(t, cluster.ListenAddrs()))
	if err != nil {
		t.Fatal(err)
	}
	metadata.Topics[0].TopicID = uuid.New()
	s := &stale{}
	cluster.Control(func(request kmsg.Request) (kmsg.Response, error, bool) {
		if s.healed.Load() {
			return nil, nil, false
		}
		cluster.KeepControl()
		node := cluster.CurrentNode()
		if !isStale(node) {
			return nil, nil, false
		}
		switch request := request.(type) {
		case *kmsg.MetadataRequest:
			if len(request.Topics) != 1 || request.Topics[0].Topic == nil || *request.Topics[0].Topic != topic {
				return nil, nil, false
			}
			s.answers.Add(1)
			answer := *metadata // which is written to connections meanwhile
			answer.Version = request.Version
			answer.Topics = slices.Clone(answer.Topics)
			partitions := slices.Clone(answer.Topics[0].Partitions)
			partitions[0].Leader, partitions[0].LeaderEpoch = node, 7
			answer.Topics[0].Partitions = partitions
			return &answer, nil, true
		case *kmsg.ListOffsetsRequest:
			s.ends.Add(1)
			answer := request.ResponseKind().(*kmsg.ListOffsetsResponse)
			end := kmsg.ListOffsetsResponseTopicPartition{Timestamp: -1, Offset: endBefore, LeaderEpoch: 7}
			answer.Topics = []kmsg.ListOffsetsResponseTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsResponseTopicPartition{end}}}
			return answer, nil, true
		}
		return nil, nil, false
	})
	return s
}

// Of three brokers only the leader has learnt it: nothing is taken for lost, or for another topic.
func TestWhatBrokersTellOfTheTopicBeforeIsNotBelieved(t *testing.T) {
	t.Parallel()
	cluster, a, j := metByThree(t)
	for range 3 {
		if _, err := j.put(deposit(uuid.New(), 2)); err != nil {
			t.Fatal(err)
		}
	}
	w, leader := j.writer.Load(), cluster.LeaderFor(j.Topic, 0)
	s := goStale(t, cluster, j.Topic, func(node int32) bool { return node != leader })
	for deadline := time.Now().Add(patience); s.answers.Load() < 100 || s.ends.Load() < 3; {
		if now, err := j.topicInKafka(t.Context(), w.topic.ID); err == nil && now.ID != w.topic.ID {
			t.Fatalf("after %d answers: the topic is %s", s.answers.Load(), now.ID)
		}
		if ends, _, err := j.endsOf(t.Context(), j.Topic, w.topic.ID); err == nil && ends[0] != 4 {
			t.Fatalf("after %d answers: the end is %d", s.answers.Load(), ends[0])
		}
		if time.Now().After(deadline) {
			t.Fatal("they are not asked")
		}
	}
	a.mu.Lock()
	lost := a.truncated
	a.mu.Unlock()
	if len(lost) > 0 || w.writers[0].currentHold() != "" {
		t.Errorf("lost %v, held for %q", lost, w.writers[0].currentHold())
	}
}

// A client that has heard of another topic of that name never writes any again.
func TestTheWriterIsReplacedThatHasHeardOfAnotherTopic(t *testing.T) {
	t.Parallel()
	cluster, a, j := metByThree(t)
	w, leader := j.writer.Load(), cluster.LeaderFor(j.Topic, 0)
	s := goStale(t, cluster, j.Topic, func(node int32) bool { return node != leader })
	eventually(t, "the client has heard of it", func() bool {
		w.client.ForceMetadataRefresh()
		_, _ = j.put(deposit(uuid.New(), 2))
		return w.abandoned.Load()
	})
	s.healed.Store(true)
	eventually(t, "it is written", func() bool { _, err := j.put(deposit(uuid.New(), 2)); return err == nil })
	if j.writer.Load() == w {
		t.Error("by the client that has heard of it")
	}
	rec := operations(deposit(uuid.New(), 3))
	r := Encode(&rec)
	r.Topic = j.Topic
	if err := client(t, j.Brokers).ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	a.until(t, "another's record is read", func() bool {
		return slices.ContainsFunc(a.fetched, func(f wallet.Record) bool { return f.Operations[0].ID == rec.Operations[0].ID })
	})
}

// The same of the topic of dead letters: an operator has deleted it.
func TestADeadLetterIsWrittenWhenItsTopicWasMadeAnew(t *testing.T) {
	t.Parallel()
	broker, _, j := metFour(t)
	bury := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return j.Bury(ctx, wallet.Record{Kind: wallet.KindPoison, Poison: &wallet.Poison{Err: errors.New("broken")}})
	}
	if err := bury(); err != nil {
		t.Fatal(err)
	}
	if err := broker.DeleteTopic(deadLetterTopic(j.Topic)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is written again", func() bool { return bury() == nil })
}

// A reader whose client keeps to another topic of that name makes room for one that does not.
func TestAPartitionOfWhichBrokersDoNotKnowTheTopicIsReadAnew(t *testing.T) {
	t.Parallel()
	_, _, j := metFour(t)
	r := j.reader.Load()
	eventually(t, "it is given", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.share(0).given
	})
	for n := range missedMost + 1 {
		if r.missesSome(0) {
			t.Errorf("after %d answers", n)
		}
		r.failed(j.Topic, 0, kerr.UnknownTopicID)
	}
	eventually(t, "it is missed", func() bool { return r.missesSome(0) })
}

// One that hangs, and leads nothing here, is not waited for.
func TestAReceiptThatIsThereIsLookedUpAtItsLeaderAlone(t *testing.T) {
	t.Parallel()
	_, _, j := metByThree(t)
	asked := func() int {
		j.leaders.mu.Lock()
		defer j.leaders.mu.Unlock()
		return j.leaders.asked
	}
	for range 20 { // the meeting asks all now and then
		before := asked()
		if there, err := j.Reaches(t.Context(), wallet.Receipt{}); err != nil || !there {
			t.Fatalf("%t, %v", there, err)
		}
		if asked() == before {
			return
		}
	}
	t.Error("all brokers are asked")
}
