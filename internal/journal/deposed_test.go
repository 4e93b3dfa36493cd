package journal

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// deposed is a broker that was cut off from the others, which have another leader for its
// partition since: it answers on, as what it was.
type deposed struct {
	*kfake.Cluster
	topic    string
	node     int32
	end      int64
	metadata kmsg.MetadataResponse
	told     atomic.Int32 // how often it has told its end
}

// metadataOf is what a broker tells of a topic.
func metadataOf(t *testing.T, cluster *kfake.Cluster, topic string) *kmsg.MetadataResponse {
	t.Helper()
	request, asked := kmsg.NewPtrMetadataRequest(), kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	request.Topics = append(request.Topics, asked)
	answer, err := request.RequestWith(t.Context(), client(t, cluster.ListenAddrs()))
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// depose deposes the leader of partition 0, which has a record.
func depose(t *testing.T, cluster *kfake.Cluster, topic string) *deposed {
	t.Helper()
	d := &deposed{Cluster: cluster, topic: topic, node: cluster.LeaderFor(topic, 0), end: cluster.PartitionInfo(topic, 0).HighWatermark}
	d.metadata = *metadataOf(t, cluster, topic)
	if err := cluster.MoveTopicPartition(topic, 0, (d.node+1)%3); err != nil {
		t.Fatal(err)
	}
	cluster.Control(func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if cluster.CurrentNode() != d.node {
			return nil, nil, false
		}
		response := d.answer(request)
		return response, nil, response != nil
	})
	return d
}

// answer is nil for what the broker need not lead a partition to answer.
func (d *deposed) answer(request kmsg.Request) kmsg.Response {
	switch request := request.(type) {
	case *kmsg.MetadataRequest:
		answer := d.metadata
		answer.Version = request.Version
		return &answer
	case *kmsg.ListOffsetsRequest:
		d.told.Add(1)
		answer := request.ResponseKind().(*kmsg.ListOffsetsResponse)
		p := kmsg.ListOffsetsResponseTopicPartition{Timestamp: -1, Offset: d.end, LeaderEpoch: d.metadata.Topics[0].Partitions[0].LeaderEpoch}
		answer.Topics = []kmsg.ListOffsetsResponseTopic{{Topic: d.topic, Partitions: []kmsg.ListOffsetsResponseTopicPartition{p}}}
		return answer
	case *kmsg.FetchRequest:
		d.SleepControl(func() { time.Sleep(time.Duration(request.MaxWaitMillis) * time.Millisecond) }) // as a broker holds a fetch that finds nothing
		answer := request.ResponseKind().(*kmsg.FetchResponse)
		for _, topic := range request.Topics {
			p := kmsg.NewFetchResponseTopicPartition()
			p.HighWatermark, p.LogStartOffset = d.end, 0
			answer.Topics = append(answer.Topics, kmsg.FetchResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID, Partitions: []kmsg.FetchResponseTopicPartition{p}})
		}
		return answer
	case *kmsg.ProduceRequest:
		d.SleepControl(func() { time.Sleep(time.Duration(request.TimeoutMillis) * time.Millisecond) }) // as it waits for followers that do not come
		answer := request.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range request.Topics {
			p := kmsg.NewProduceResponseTopicPartition()
			p.ErrorCode, p.BaseOffset = kerr.RequestTimedOut.Code, -1
			answer.Topics = append(answer.Topics, kmsg.ProduceResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID, Partitions: []kmsg.ProduceResponseTopicPartition{p}})
		}
		return answer
	}
	return nil
}

// untilLeft is how long the clients may hold a deposed leader for the leader: a few looks for
// leaders, of which some ask that one, and less than the Kafka client's own timeouts.
const untilLeft = 9 * time.Second

// metByThree is a journal that three brokers keep, with a record in its partition.
func metByThree(t *testing.T) (*kfake.Cluster, *fakeApplier, *Journal) {
	t.Helper()
	cluster, a := embeddedtest.Kfake(t, kfake.NumBrokers(3)), newApplier(nil)
	cfg := testConfig(cluster.ListenAddrs())
	cfg.AckTimeout = untilLeft
	j := met(t, cfg, &fakeLedger{}, a)
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
		t.Fatal(err)
	}
	a.until(t, "it is read", func() bool { return len(a.fetched) == 1 })
	return cluster, a, j
}

// It says after a while that it could not reach its followers, and not that it is no leader.
func TestWhatADeposedLeaderDoesNotAcknowledgeIsWrittenByTheNext(t *testing.T) {
	t.Parallel()
	cluster, _, j := metByThree(t)
	depose(t, cluster, j.config.Topic)
	if receipt, err := j.put(deposit(uuid.New(), 2)); err != nil || receipt.Offset != 1 {
		t.Errorf("%+v, %v", receipt, err)
	}
}

// It answers a fetch with nothing, and no error.
func TestTheReaderLeavesADeposedLeader(t *testing.T) {
	t.Parallel()
	cluster, a, j := metByThree(t)
	depose(t, cluster, j.config.Topic)
	another := client(t, cluster.ListenAddrs(), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()), kgo.ProduceRequestTimeout(100*time.Millisecond))
	rec := operations(deposit(uuid.New(), 2))
	r := Encode(&rec)
	r.Topic = j.config.Topic
	if err := another.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	written := time.Now()
	a.until(t, "another's record is read", func() bool { return len(a.fetched) == 2 })
	if took := time.Since(written); took > untilLeft {
		t.Errorf("it was read after %s", took)
	}
}

// It tells an end without what was acknowledged since: that is not lost.
func TestTheEndThatADeposedLeaderTellsIsNotBelieved(t *testing.T) {
	t.Parallel()
	cluster, a, j := metByThree(t)
	d := depose(t, cluster, j.config.Topic)
	if _, err := j.put(deposit(uuid.New(), 2)); err != nil {
		t.Fatal(err)
	}
	for d.told.Load() < 5 {
		for offset, want := range map[int64]bool{1: true, 2: false} {
			if there, err := j.Reaches(t.Context(), wallet.Receipt{Offset: offset}); err == nil && there != want {
				t.Fatalf("after %d of its answers: that the journal reaches %d is %t", d.told.Load(), offset, there)
			}
		}
		if end, told := j.look(j.writer.Load().topic.ID).ends[0]; told && end != 2 {
			t.Fatalf("after %d of its answers: the journal is looked at, and ends at %d", d.told.Load(), end)
		}
	}
	a.mu.Lock()
	lost := a.truncated
	a.mu.Unlock()
	if len(lost) > 0 {
		t.Errorf("lost: %v", lost)
	}
	if _, err := j.put(deposit(uuid.New(), 3)); err != nil {
		t.Error(err)
	}
}
