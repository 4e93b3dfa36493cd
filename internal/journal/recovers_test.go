package journal

import (
	"errors"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
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

// whenOn answers some brokers' requests until it is over.
func whenOn(t *testing.T, cluster *kfake.Cluster, isOne func(node int32) bool, answer func(kmsg.Request) (kmsg.Response, error, bool)) (end func()) {
	t.Helper()
	var over atomic.Bool
	end = func() { over.Store(true) }
	t.Cleanup(end)
	cluster.Control(func(request kmsg.Request) (kmsg.Response, error, bool) {
		if over.Load() {
			return nil, nil, false
		}
		cluster.KeepControl()
		if !isOne(cluster.CurrentNode()) {
			return nil, nil, false
		}
		return answer(request)
	})
	return end
}

// cutOff has the connections to some brokers end where they answer.
func cutOff(t *testing.T, cluster *kfake.Cluster, isOne func(node int32) bool) (end func()) {
	t.Helper()
	return whenOn(t, cluster, isOne, func(kmsg.Request) (kmsg.Response, error, bool) { return nil, errors.New("cut off"), true })
}

// is returns what is so for this broker alone, other for all but this one.
func is(broker int32) func(int32) bool    { return func(node int32) bool { return node == broker } }
func other(broker int32) func(int32) bool { return func(node int32) bool { return node != broker } }

// Brokers whose disks are missing say that there is no such topic; then the same one is back.
func TestATopicThatWasAwayIsReadAgain(t *testing.T) {
	t.Parallel()
	broker, a, j := metFour(t)
	host, port, err := net.SplitHostPort(broker.ListenAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	isBack := whenOn(t, broker, func(int32) bool { return true }, func(request kmsg.Request) (kmsg.Response, error, bool) {
		switch request := request.(type) {
		case *kmsg.MetadataRequest:
			answer, topic := request.ResponseKind().(*kmsg.MetadataResponse), kmsg.NewMetadataResponseTopic()
			topic.Topic, topic.ErrorCode = kmsg.StringPtr(j.config.Topic), kerr.UnknownTopicOrPartition.Code
			answer.Brokers = []kmsg.MetadataResponseBroker{{Host: host, Port: int32(number)}}
			answer.Topics = []kmsg.MetadataResponseTopic{topic}
			return answer, nil, true
		case *kmsg.FetchRequest, *kmsg.ProduceRequest:
			return nil, errors.New("cut off"), true
		}
		return nil, nil, false
	})
	a.until(t, "the partitions are stopped", func() bool { return len(a.halted) == 4 && errors.Is(a.halted[0], wallet.ErrTopicChanged) })
	isBack()
	eventually(t, "it is written again", func() bool { _, err := j.put(deposit(uuid.New(), 1)); return err == nil })
	a.until(t, "it is read again", func() bool { return len(a.halted) == 0 && len(a.fetched) > 0 })
}

// The others hang for a moment; the one that answers has not learnt that the topic was made anew.
func TestOneStaleBrokerStopsAndHoldsNothing(t *testing.T) {
	t.Parallel()
	cluster, a, j := metByThree(t)
	r, w := givenReader(t, j), j.writer.Load()
	alone := (cluster.LeaderFor(j.config.Topic, 0) + 1) % 3
	s := goStale(t, cluster, j.config.Topic, nil, is(alone))
	t.Cleanup(func() { s.healed.Store(true) })
	reached := whenOn(t, cluster, other(alone), func(request kmsg.Request) (kmsg.Response, error, bool) {
		_, is := request.(*kmsg.MetadataRequest)
		return nil, errors.New("cut off"), is
	})
	r.failed(j.config.Topic, 0, kerr.UnknownTopicID)
	for s.answers.Load() < 10 {
		if now, err := j.topicInKafka(t.Context(), w.topic.ID); err == nil && now.ID != w.topic.ID {
			t.Fatalf("the topic is %s", now.ID)
		}
		known := j.look(w.topic.ID)
		w.review(map[int32]int64{}, known)
		if why := w.writers[0].currentHold(); why != "" || known.lacks(w.topic.ID) {
			t.Fatalf("held for %q", why)
		}
	}
	reached()
	s.healed.Store(true)
	was := len(a.seen())
	eventually(t, "it is written", func() bool { _, err := j.put(deposit(uuid.New(), 2)); return err == nil })
	a.until(t, "it is read", func() bool { return len(a.fetched) > was && len(a.halted) == 0 })
}

// The broker may hang for long: what the others tell is to be believed.
func TestATopicMadeAnewIsSeenWhileOneBrokerIsNotReached(t *testing.T) {
	t.Parallel()
	cluster, a, j := metByThree(t)
	cutOff(t, cluster, is((cluster.LeaderFor(j.config.Topic, 0)+1)%3))
	if err := errors.Join(cluster.DeleteTopic(j.config.Topic), cluster.CreateTopic(j.config.Topic, 1, nil)); err != nil {
		t.Fatal(err)
	}
	p := j.writer.Load().writers[0]
	eventually(t, "it is not written", func() bool { return p.currentHold() == holdForeign })
	a.until(t, "it is stopped", func() bool { return errors.Is(a.halted[0], wallet.ErrTopicChanged) })
}

// It may be there: only whoever asks may not know.
func TestARefusalToTellOfATopicIsNotItsAbsence(t *testing.T) {
	t.Parallel()
	broker, _, j := metFour(t)
	id := j.writer.Load().topic.ID
	whenOn(t, broker, is(0), func(request kmsg.Request) (kmsg.Response, error, bool) {
		asked, is := request.(*kmsg.MetadataRequest)
		if !is || len(asked.Topics) != 1 {
			return nil, nil, false
		}
		answer, topic := request.ResponseKind().(*kmsg.MetadataResponse), kmsg.NewMetadataResponseTopic()
		topic.Topic, topic.ErrorCode = asked.Topics[0].Topic, kerr.TopicAuthorizationFailed.Code
		answer.Topics = []kmsg.MetadataResponseTopic{topic}
		return answer, nil, true
	})
	if n := j.askLeaders(t.Context(), j.config.Topic); n.topics[id] || n.lacks(id) {
		t.Errorf("%+v", n)
	}
}

// The topic is made anew, and then the ledger falls silent, which nobody has told to go on with it.
func TestNothingIsWrittenIntoAnotherTopicWhileTheLedgerIsSilent(t *testing.T) {
	t.Parallel()
	broker, l := embeddedtest.Kfake(t), &fakeLedger{}
	cfg := testConfig(broker.ListenAddrs())
	m := metOnce(t, cfg, l, newApplier(nil))
	ours, w := l.follows(), m.journal.writer.Load()
	m.leave(ours)
	another := remade(t, broker, cfg)
	l.set(wallet.Topic{}, wallet.ErrUnavailable)
	eventually(t, "the other topic is heard of", func() bool {
		_, err := m.meet(true)
		return strings.Contains(err.Error(), another.ID.String())
	})
	if m.journal.writer.Load() != w || w.writers[0].currentHold() != holdForeign {
		t.Errorf("by the same writer: %t; held for %q", m.journal.writer.Load() == w, w.writers[0].currentHold())
	}
}

// Nor into one of which somebody has raised the number of partitions.
func TestNothingIsWrittenByAnotherNumberOfPartitionsWhileTheLedgerIsSilent(t *testing.T) {
	t.Parallel()
	l := &fakeLedger{}
	m := metOnce(t, testConfig(embeddedtest.Kfake(t).ListenAddrs()), l, newApplier(nil))
	m.leave(l.follows())
	m.follows.Partitions = 2
	l.set(wallet.Topic{}, wallet.ErrUnavailable)
	if _, err := m.meet(true); !errors.Is(err, wallet.ErrUnavailable) || m.journal.writer.Load() != nil {
		t.Errorf("%v; written: %t", err, m.journal.writer.Load() != nil)
	}
}

// The ledger has said which one it follows, Kafka did not have that or did not answer; then the
// ledger falls silent.
func TestNoOtherTopicIsTakenThanTheOneThatTheLedgerHasNamedBeforeItFellSilent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ cut, there bool }{
		"there was none":                 {},
		"none answered, there is none":   {cut: true},
		"none answered, another's there": {cut: true, there: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker := embeddedtest.Kfake(t)
			cfg := testConfig(broker.ListenAddrs())
			j, err := Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(j.Close)
			j.applier = newApplier(nil)
			l := &fakeLedger{topic: wallet.Topic{Name: cfg.Topic, ID: uuid.New(), Partitions: cfg.Partitions}}
			m := &meeting{journal: j, ledger: l, rejoin: minRejoin}
			reached := cutOff(t, broker, func(int32) bool { return c.cut })
			eventually(t, "it is not met", func() bool {
				_, err := m.meet(true)
				return c.cut && errors.Is(err, wallet.ErrUnreachable) || !c.cut && errors.Is(err, wallet.ErrTopicChanged)
			})
			reached()
			if c.there {
				if err := broker.CreateTopic(cfg.Topic, cfg.Partitions, nil); err != nil {
					t.Fatal(err)
				}
			}
			l.set(wallet.Topic{}, wallet.ErrUnavailable)
			eventually(t, "Kafka has told", func() bool {
				_, err := m.meet(true)
				return !errors.Is(err, wallet.ErrUnreachable) && !errors.Is(err, errTwoTopics)
			})
			if isThere := broker.TopicInfo(cfg.Topic) != nil; isThere != c.there || j.writer.Load() != nil {
				t.Errorf("the topic is there: %t; written: %t", isThere, j.writer.Load() != nil)
			}
		})
	}
}

// A new client would keep to the first topic that it hears of, and most have not told yet.
func TestOneBrokerAloneGivesNoWriterANewClient(t *testing.T) {
	t.Parallel()
	cluster, _, j := metByThree(t)
	id := j.writer.Load().topic.ID
	eventually(t, "all tell of it", func() bool { return j.allTellOf(id) })
	cutOff(t, cluster, other(0))
	if j.allTellOf(id) {
		t.Error("one is believed")
	}
}

// All that answer tell of another topic since somebody told of this one.
func TestNoWriterBeginsWhileAllTellOfAnotherTopic(t *testing.T) {
	t.Parallel()
	cluster, _, j := metByThree(t)
	topic := j.writer.Load().topic
	m := metOnce(t, j.config, &fakeLedger{topic: topic}, newApplier(nil))
	m.journal.closeWriter()
	s := goStale(t, cluster, j.config.Topic, nil, func(int32) bool { return true })
	t.Cleanup(func() { s.healed.Store(true) })
	if err := m.openWriter(topic, nil); !errors.Is(err, errTwoTopics) || m.journal.writer.Load() != nil {
		t.Errorf("%v; written: %t", err, m.journal.writer.Load() != nil)
	}
}

// Some partitions that are doubted make no replica unready.
func TestPartitionsThatAreDoubtedDoNotCountAsThoseThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	_, _, j := metFour(t)
	w := j.writer.Load()
	for _, p := range w.writers[1:] {
		p.judge(0, nil)
	}
	doubted := naming{map[uuid.UUID]bool{w.topic.ID: true, uuid.New(): true}, true}
	w.review(map[int32]int64{}, look{w.written(), nil, doubted})
	if w.writers[0].currentHold() != holdForeign || !j.Writable() {
		t.Errorf("held for %q; writable: %t", w.writers[0].currentHold(), j.Writable())
	}
}

// It may be the other topic's, and nobody waits for it any more.
func TestWhatIsAcknowledgedWhileTheTopicIsAnotherIsNotBelieved(t *testing.T) {
	t.Parallel()
	p := &partitionWriter{}
	p.hold(holdForeign)
	if v := p.judge(0, nil); v != unacknowledged || p.next.Load() != 0 {
		t.Errorf("verdict %d, next %d", v, p.next.Load())
	}
}

// The applier has room again while it is found out whether the ledger's offset is there.
func TestAPartitionThatIsJudgedIsNotFetched(t *testing.T) {
	t.Parallel()
	broker, _, j := metFour(t)
	r := givenReader(t, j)
	whenOn(t, broker, is(0), func(request kmsg.Request) (kmsg.Response, error, bool) {
		_, is := request.(*kmsg.ListOffsetsRequest)
		return nil, errors.New("cut off"), is
	})
	r.failed(j.config.Topic, 0, kerr.OffsetOutOfRange)
	j.Resume(0)
	if paused := r.client.PauseFetchPartitions(nil)[j.config.Topic]; !slices.Contains(paused, 0) {
		t.Errorf("paused are %d", paused)
	}
}

// As TestTheWriterIsReplacedThatHasHeardOfAnotherTopic, where one broker is not reached from here.
func TestTheWriterIsReplacedThatHasHeardOfAnotherTopicAlsoIfNotAllAnswer(t *testing.T) {
	t.Parallel()
	cluster, _, j := metByThree(t)
	w, leader := j.writer.Load(), cluster.LeaderFor(j.config.Topic, 0)
	s := goStale(t, cluster, j.config.Topic, nil, other(leader))
	eventually(t, "the client has heard of it", func() bool {
		w.client.Load().ForceMetadataRefresh()
		_, _ = j.put(deposit(uuid.New(), 2))
		return w.topicUnknown.Load()
	})
	cutOff(t, cluster, is((leader+2)%3))
	s.healed.Store(true)
	eventually(t, "it is written", func() bool { _, err := j.put(deposit(uuid.New(), 2)); return err == nil })
}

// A broker that leads the topic before might acknowledge what is written to that.
func TestNoWriterBeginsWhileABrokerTellsOfAnotherTopic(t *testing.T) {
	t.Parallel()
	cluster, _, j := metByThree(t)
	topic := j.writer.Load().topic
	s := goStale(t, cluster, j.config.Topic, nil, other(cluster.LeaderFor(j.config.Topic, 0)))
	late := started(t, j.config, &fakeLedger{topic: topic}, newApplier(nil))
	eventually(t, "it has heard of it", func() bool {
		if late.writer.Load() != nil {
			t.Fatal("one has begun")
		}
		return s.answers.Load() >= 30
	})
	s.healed.Store(true)
	eventually(t, "it is written", func() bool { _, err := late.put(deposit(uuid.New(), 2)); return err == nil })
}

// metOnce has met the topic; it goes on if the test says so.
func metOnce(t *testing.T, cfg Config, l *fakeLedger, a *fakeApplier) *meeting {
	t.Helper()
	j, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	j.applier = a
	m := &meeting{journal: j, ledger: l, rejoin: minRejoin}
	eventually(t, "the topic is met", func() bool { _, err := m.meet(true); return err == nil })
	return m
}

// goOn is run where the topic is met.
func (m *meeting) goOn() {
	m.journal.meeting.Go(func() {
		if now, ok := m.untilLeft(m.journal.writer.Load().topic); ok {
			m.leave(now)
			m.run()
		}
	})
}

// All brokers that answer tell of another topic for a moment while the journal is met anew.
func TestWhatIsKnownOfPartitionsOutlastsAMomentOfAnotherTopic(t *testing.T) {
	t.Parallel()
	cluster, _, of := metByThree(t) // which has written a record
	l, a := &fakeLedger{next: map[int32]int64{0: 1}}, newApplier(nil)
	m := metOnce(t, of.config, l, a)
	w := m.journal.writer.Load()
	p := w.writers[0]
	p.judge(0, nil)
	a.change(func() { a.recovering = true })
	w.recoverBy = time.Now().Add(maxRecovery)
	p.hold(holdRecovering)
	s := goStale(t, cluster, of.config.Topic, nil, func(int32) bool { return true })
	meet := func() error {
		m.leave(l.topic)
		_, err := m.meet(true)
		return err
	}
	eventually(t, "the topic is another", func() bool { return errors.Is(meet(), wallet.ErrTopicChanged) })
	if p.currentHold() != holdForeign {
		t.Errorf("held for %q", p.currentHold())
	}
	s.healed.Store(true)
	eventually(t, "it is met", func() bool { return meet() == nil })
	if m.journal.writer.Load() != w || p.currentHold() != holdRecovering || p.next.Load() != 1 {
		t.Errorf("held for %q, acknowledged up to %d, by the same writer: %t", p.currentHold(), p.next.Load(), m.journal.writer.Load() == w)
	}
}

// The topic was another for a moment; then the ledger falls silent.
func TestAHoldEndsWhileTheLedgerIsSilent(t *testing.T) {
	t.Parallel()
	l := &fakeLedger{}
	m := metOnce(t, testConfig(embeddedtest.Kfake(t).ListenAddrs()), l, newApplier(nil))
	p := m.journal.writer.Load().writers[0]
	p.hold(holdForeign)
	l.set(l.topic, wallet.ErrUnavailable)
	eventually(t, "it is written", func() bool {
		if _, err := m.meet(true); !errors.Is(err, wallet.ErrUnavailable) {
			t.Fatal(err)
		}
		return p.currentHold() == ""
	})
}

// lateApplier takes its time to note what is acknowledged.
type lateApplier struct {
	*fakeApplier
	entered, leave chan struct{}
	told           chan string
}

func (a *lateApplier) Acknowledged(rec wallet.Record) {
	close(a.entered)
	<-a.leave
	a.told <- "acknowledged"
}

// closing holds a token once a client is closed.
type closing chan struct{}

func (c closing) OnClientClosed(*kgo.Client) { signal(c) }

// Else what was acknowledged in this topic would be waited for in the next one.
func TestWhatIsAcknowledgedIsToldBeforeAWriterIsClosed(t *testing.T) {
	t.Parallel()
	const chances = 10_000
	a := &lateApplier{newApplier(nil), make(chan struct{}), make(chan struct{}), make(chan string, 2)}
	cfg, closed := testConfig(embeddedtest.Kfake(t).ListenAddrs()), make(closing, 1)
	j := reading(t, cfg, &fakeLedger{}, a)
	eventually(t, "it is met", func() bool { return j.writer.Load() != nil })
	client, err := kgo.NewClient(append(producerOptions(cfg), kgo.WithHooks(closed))...)
	if err != nil {
		t.Fatal(err)
	}
	w := j.writer.Load()
	w.replaceClient(client)
	go func() { _, _ = j.put(deposit(uuid.New(), 1)) }()
	<-a.entered
	go func() {
		w.close()
		a.told <- "closed"
	}()
	<-closed
	for range chances {
		runtime.Gosched()
	}
	close(a.leave)
	if first, second := <-a.told, <-a.told; first != "acknowledged" || second != "closed" {
		t.Errorf("%s, then %s", first, second)
	}
}
