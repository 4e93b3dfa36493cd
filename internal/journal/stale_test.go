package journal

import (
	"context"
	"errors"
	"slices"
	"strconv"
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

// stale are brokers that have not learnt that the topic was made anew: they tell of the one
// before, where that ends, and what it has.
type stale struct {
	id      uuid.UUID
	records []byte // batches
	healed  atomic.Bool
	answers atomic.Int32 // of the topic before
	ends    atomic.Int32 // of where that ends
}

// endBefore is where the partition of the topic before ends.
const endBefore = 1

// goStale makes brokers stale, whose partition 0 is led by a broker of theirs in a higher epoch.
func goStale(t *testing.T, cluster *kfake.Cluster, topic string, records []byte, isStale func(node int32) bool) *stale {
	t.Helper()
	metadata := metadataOf(t, cluster, topic)
	s := &stale{id: uuid.New(), records: records}
	metadata.Topics[0].TopicID = s.id
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
		case *kmsg.FetchRequest:
			answer := s.fetched(request)
			return answer, nil, answer != nil
		}
		return nil, nil, false
	})
	return s
}

// fetched is nil unless it is the topic before that is fetched.
func (s *stale) fetched(request *kmsg.FetchRequest) kmsg.Response {
	if len(request.Topics) != 1 || request.Topics[0].TopicID != s.id {
		return nil
	}
	p := kmsg.NewFetchResponseTopicPartition()
	p.Partition, p.HighWatermark, p.LastStableOffset, p.RecordBatches = request.Topics[0].Partitions[0].Partition, endBefore, endBefore, s.records
	answer := request.ResponseKind().(*kmsg.FetchResponse)
	answer.Topics = []kmsg.FetchResponseTopic{{Topic: request.Topics[0].Topic, TopicID: s.id, Partitions: []kmsg.FetchResponseTopicPartition{p}}}
	return answer
}

// batchesOf fetches what a topic's partition 0 has, as it is.
func batchesOf(t *testing.T, cluster *kfake.Cluster, topic string) []byte {
	t.Helper()
	request := kmsg.NewPtrFetchRequest()
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes, request.MaxBytes = 1<<20, 1<<20
	request.Topics = []kmsg.FetchRequestTopic{{Topic: topic, TopicID: cluster.TopicInfo(topic).TopicID, Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	answer, err := request.RequestWith(t.Context(), client(t, cluster.ListenAddrs()).Broker(int(cluster.LeaderFor(topic, 0))))
	if err != nil {
		t.Fatal(err)
	}
	return answer.Topics[0].Partitions[0].RecordBatches
}

// A reader begins anew while only the leader knows of the topic, and its client hears of the one before.
func TestWhatAnotherTopicHasIsNotAppliedAsThisOnes(t *testing.T) {
	for n := range 5 { // whom the client asks first is chance
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			cluster := embeddedtest.Kfake(t, kfake.NumBrokers(3))
			cfg, a := testConfig(cluster.ListenAddrs()), newApplier(nil)
			m := metOnce(t, cfg, &fakeLedger{}, a)
			m.leave(m.ledger.(*fakeLedger).topic)
			if err := cluster.CreateTopic("before", 1, nil); err != nil {
				t.Fatal(err)
			}
			append := func(topic string, op wallet.Operation) {
				rec := operations(op)
				r := Encode(&rec)
				r.Topic = topic
				if err := client(t, cfg.Brokers).ProduceSync(t.Context(), r).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			lost, ours := deposit(uuid.New(), 1), deposit(uuid.New(), 2)
			append("before", lost)
			append(cfg.Topic, ours)
			leader := cluster.LeaderFor(cfg.Topic, 0)
			s := goStale(t, cluster, cfg.Topic, batchesOf(t, cluster, "before"), func(node int32) bool { return node != leader })
			if err := m.journal.read(m.journal.writer.Load().topic); err != nil {
				t.Fatal(err)
			}
			m.goOn()
			eventually(t, "all clients have asked", func() bool {
				a.mu.Lock()
				defer a.mu.Unlock()
				if slices.ContainsFunc(a.fetched, func(r wallet.Record) bool { return r.Operations[0].ID == lost.ID }) {
					t.Fatal("a record of the topic before is delivered as one of this")
				}
				return s.answers.Load() > 20
			})
			s.healed.Store(true)
			a.until(t, "what this topic has is read", func() bool { return len(a.fetched) == 1 && a.fetched[0].Operations[0].ID == ours.ID })
		})
	}
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
	w, leader := j.writer.Load(), cluster.LeaderFor(j.config.Topic, 0)
	s := goStale(t, cluster, j.config.Topic, nil, func(node int32) bool { return node != leader })
	for deadline := time.Now().Add(patience); s.answers.Load() < 100 || s.ends.Load() < 3; {
		if now, err := j.topicInKafka(t.Context(), w.topic.ID); err == nil && now.ID != w.topic.ID {
			t.Fatalf("after %d answers: the topic is %s", s.answers.Load(), now.ID)
		}
		if ends, _, err := j.endsOf(t.Context(), j.config.Topic, w.topic.ID); err == nil && ends[0] != 4 {
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

// Nor while the ledger does not say which is the one.
func TestTheTopicIsNotLeftForWhatOneBrokerTellsWhileTheLedgerIsSilent(t *testing.T) {
	t.Parallel()
	cluster, a, j := metByThree(t)
	w, leader := j.writer.Load(), cluster.LeaderFor(j.config.Topic, 0)
	s := goStale(t, cluster, j.config.Topic, nil, func(node int32) bool { return node != leader })
	l := &fakeLedger{err: wallet.ErrUnavailable}
	m := &meeting{journal: j, ledger: l, written: w.topic.ID}
	for s.answers.Load() < 30 {
		if _, err := m.meet(true); err == nil || j.writer.Load() != w {
			t.Fatalf("after %d answers: %v, written by the same: %t", s.answers.Load(), err, j.writer.Load() == w)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.replaced > 0 {
		t.Error("it is said to be replaced")
	}
}

// A client that has heard of another topic of that name never writes any again.
func TestTheWriterIsReplacedThatHasHeardOfAnotherTopic(t *testing.T) {
	t.Parallel()
	cluster, a, j := metByThree(t)
	w, leader := j.writer.Load(), cluster.LeaderFor(j.config.Topic, 0)
	first := w.client.Load()
	s := goStale(t, cluster, j.config.Topic, nil, func(node int32) bool { return node != leader })
	eventually(t, "the client has heard of it", func() bool {
		w.client.Load().ForceMetadataRefresh()
		_, _ = j.put(deposit(uuid.New(), 2))
		return w.topicUnknown.Load()
	})
	s.healed.Store(true)
	eventually(t, "it is written", func() bool { _, err := j.put(deposit(uuid.New(), 2)); return err == nil })
	if j.writer.Load() != w || w.client.Load() == first || w.topicUnknown.Load() {
		t.Error("by the client that has heard of it")
	}
	rec := operations(deposit(uuid.New(), 3))
	r := Encode(&rec)
	r.Topic = j.config.Topic
	if err := client(t, j.config.Brokers).ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	a.until(t, "another's record is read", func() bool {
		return slices.ContainsFunc(a.fetched, func(f wallet.Record) bool { return f.Operations[0].ID == rec.Operations[0].ID })
	})
}

// A record may also be refused so by a leader that has not learnt of the topic yet.
func TestAWriterThatWritesIsNotTakenForOneThatHasHeardOfAnotherTopic(t *testing.T) {
	t.Parallel()
	_, _, j := metFour(t)
	w := j.writer.Load()
	w.topicUnknown.Store(true)
	if _, err := j.put(deposit(uuid.New(), 2)); err != nil {
		t.Fatal(err)
	}
	if w.topicUnknown.Load() {
		t.Error("it is to be replaced")
	}
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
	if err := broker.DeleteTopic(deadLetterTopic(j.config.Topic)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is written again", func() bool { return bury() == nil })
}

// The client has passed what was not delivered: it must not go on behind that.
func TestAPartitionOfWhichAnotherTopicWasFetchedStaysPausedUntilItIsReadAnew(t *testing.T) {
	t.Parallel()
	_, _, j := metFour(t)
	r := givenReader(t, j)
	r.deliverAll(kgo.FetchTopic{Topic: j.config.Topic, TopicID: uuid.New(), Partitions: []kgo.FetchPartition{{Partition: 0, Records: []*kgo.Record{{Offset: 7}}}}})
	if !r.missesSome(0) {
		t.Error("it is not read anew")
	}
	j.Resume(0) // as the applier asks for
	if paused := r.client.PauseFetchPartitions(nil)[j.config.Topic]; !slices.Contains(paused, 0) {
		t.Errorf("paused are %d", paused)
	}
}

// Nobody tells any more whether it has what the ledger asks for.
func TestAPartitionWhoseTopicWasMadeAnewIsStoppedAlsoWhereItsOffsetIsNotThere(t *testing.T) {
	t.Parallel()
	broker, a, j := metFour(t)
	r := givenReader(t, j)
	s := goStale(t, broker, j.config.Topic, nil, func(int32) bool { return true }) // so that every broker tells of another
	t.Cleanup(func() { s.healed.Store(true) })
	r.failed(j.config.Topic, 0, kerr.OffsetOutOfRange)
	a.until(t, "it is stopped", func() bool { return errors.Is(a.halted[0], wallet.ErrTopicChanged) })
}

// givenReader returns the reader once partition 0 is its own.
func givenReader(t *testing.T, j *Journal) *reader {
	t.Helper()
	r := readerOf(t, j)
	eventually(t, "it is given", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.share(0).given
	})
	return r
}

// A reader whose client keeps to another topic of that name makes room for one that does not.
func TestAPartitionOfWhichBrokersDoNotKnowTheTopicIsReadAnew(t *testing.T) {
	t.Parallel()
	_, _, j := metFour(t)
	r := givenReader(t, j)
	for n := range maxUnknown + 1 {
		if r.missesSome(0) {
			t.Errorf("after %d answers", n)
		}
		r.failed(j.config.Topic, 0, kerr.UnknownTopicID)
	}
	if !r.missesSome(0) {
		t.Error("it is not missed")
	}
}

// One that hangs is not waited for.
func TestAReceiptThatIsThereIsLookedUpAtLeadersAlone(t *testing.T) {
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
