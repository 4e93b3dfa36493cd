package journal

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

var errLedger = errors.New("the ledger does not answer")

// exists reports whether the broker has a topic.
func exists(broker *kfake.Cluster, topic string) bool { return broker.TopicInfo(topic) != nil }

// tried waits until the ledger was asked n more times.
func tried(t *testing.T, l *fakeLedger, n int) {
	t.Helper()
	l.mu.Lock()
	until := l.asked + n
	l.mu.Unlock()
	eventually(t, "the ledger is asked again", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.asked >= until
	})
}

func TestTopicIsMadeOnceWhenTheLedgerFollowsNone(t *testing.T) {
	t.Parallel()
	broker, l, a := embeddedtest.Kfake(t), &fakeLedger{}, newApplier(nil)
	cfg := testConfig(broker.ListenAddrs())
	cfg.Partitions = 3
	j := met(t, cfg, l, a)
	info := broker.TopicInfo(j.config.Topic)
	if got := l.follows(); got != (wallet.Topic{Name: j.config.Topic, ID: uuid.UUID(info.TopicID), Partitions: 3}) {
		t.Errorf("the ledger follows %+v", got)
	}
	for name, want := range map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "unclean.leader.election.enable": "false", "min.insync.replicas": "1"} {
		if got := info.Configs[name]; got == nil || *got != want {
			t.Errorf("%s is %v, want %s", name, got, want)
		}
	}
	if !exists(broker, deadLetterTopic(j.config.Topic)) {
		t.Error("no topic for dead letters")
	}
	second := newApplier(a.kept)
	cfg.Replica = uuid.New()
	other := started(t, cfg, l, second)
	eventually(t, "a second replica meets it", func() bool { return other.Available() == nil })
	if broker.TopicInfo(j.config.Topic).TopicID != info.TopicID {
		t.Error("the topic was made anew")
	}
}

func TestReplicatedTopicAsksForTwoInSync(t *testing.T) {
	t.Parallel()
	for _, replication := range []int16{2, 3} {
		broker := embeddedtest.Kfake(t, kfake.NumBrokers(3))
		cfg := testConfig(broker.ListenAddrs())
		cfg.Replication = replication
		j := met(t, cfg, &fakeLedger{}, newApplier(nil))
		if got := broker.TopicInfo(j.config.Topic).Configs["min.insync.replicas"]; got == nil || *got != "2" {
			t.Errorf("of %d, min.insync.replicas is %v", replication, got)
		}
	}
}

// A topic that the ledger follows and that is gone is not made anew: its records
// are what the ledger has not applied yet.
func TestTopicThatTheLedgerFollowsIsNeverMadeAnew(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	cfg := testConfig(broker.ListenAddrs())
	l := &fakeLedger{topic: wallet.Topic{Name: cfg.Topic, ID: uuid.New(), Partitions: 1}}
	j := started(t, cfg, l, a)
	tried(t, l, 3)
	refused(t, j, a)
	if exists(broker, cfg.Topic) {
		t.Error("it was made")
	}
}

// refused fails unless nothing can be written and nothing is read.
func refused(t *testing.T, j *Journal, a *fakeApplier) {
	t.Helper()
	if receipt, err := j.put(deposit(uuid.New(), 1)); !errors.Is(err, wallet.ErrNotJournaled) || receipt.Known() {
		t.Errorf("written: %+v, %v", receipt, err)
	}
	if j.Available() == nil {
		t.Error("it counts as available")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.assigned != 0 || len(a.acked) != 0 {
		t.Errorf("%d assigned, %d acknowledged", a.assigned, len(a.acked))
	}
}

func TestTopicThatIsNotTheLedgersIsNeitherWrittenNorRead(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*wallet.Topic){
		"another id":              func(t *wallet.Topic) { t.ID = uuid.New() },
		"another partition count": func(t *wallet.Topic) { t.Partitions = 2 },
		"another name":            func(t *wallet.Topic) { t.Name += "-of-old" },
	} {
		t.Run(name, func(t *testing.T) {
			broker, a, log := embeddedtest.Kfake(t), newApplier(nil), newLog()
			cfg := testConfig(broker.ListenAddrs())
			cfg.Log = log.logger()
			if err := broker.CreateTopic(cfg.Topic, 1, nil); err != nil {
				t.Fatal(err)
			}
			right := wallet.Topic{Name: cfg.Topic, ID: uuid.UUID(broker.TopicInfo(cfg.Topic).TopicID), Partitions: 1}
			wrong := right
			change(&wrong)
			l := &fakeLedger{topic: wrong}
			j := started(t, cfg, l, a)
			tried(t, l, 3)
			refused(t, j, a)
			if got := broker.PartitionInfo(cfg.Topic, 0).HighWatermark; got != 0 {
				t.Errorf("%d records", got)
			}
			if text := log.text(); !strings.Contains(text, wallet.ErrTopicChanged.Error()) || !strings.Contains(text, wrong.ID.String()) || !strings.Contains(text, right.ID.String()) {
				t.Errorf("it is not said what is wrong: %s", text)
			}
			a.until(t, "halted", func() bool { return errors.Is(a.halted[0], wallet.ErrTopicChanged) })
			l.set(right, nil) // the operator has said so
			a.until(t, "read, with nothing halted", func() bool { return len(a.owned) == 1 && len(a.halted) == 0 })
			if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
				t.Error(err)
			}
		})
	}
}

// At a first start the ledger has no schema for a moment. What comes in then waits
// for the journal: had it been refused, it would have gone the direct way for nothing.
func TestWhatComesBeforeTheLedgersFirstWordIsJournaled(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	l := &fakeLedger{err: errLedger}
	j := started(t, testConfig(broker.ListenAddrs()), l, a)
	tried(t, l, 1)
	wrote := make(chan error, 1)
	go func() {
		_, err := j.put(deposit(uuid.New(), 1))
		wrote <- err
	}()
	tried(t, l, 1)
	select {
	case err := <-wrote:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	l.set(wallet.Topic{}, nil)
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

func TestUnknownTopicWaitsForTheLedgersWordAndIsMadeAfterTheGrace(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	l := &fakeLedger{err: errLedger}
	cfg := testConfig(broker.ListenAddrs())
	began := time.Now()
	j := started(t, cfg, l, a)
	eventually(t, "the topic is made", func() bool { return exists(broker, cfg.Topic) })
	if d := time.Since(began); d < ledgerGrace {
		t.Errorf("made after %s", d)
	}
	eventually(t, "written without the ledger", func() bool {
		_, err := j.put(deposit(uuid.New(), 1))
		return err == nil
	})
	a.mu.Lock()
	if a.assigned != 0 {
		t.Error("it is read before the ledger agreed")
	}
	a.mu.Unlock()
	l.set(wallet.Topic{}, nil)
	a.until(t, "what was written meanwhile is read", func() bool { return len(a.fetched) == 1 })
	if got := l.follows().ID; got != uuid.UUID(broker.TopicInfo(cfg.Topic).TopicID) {
		t.Errorf("the ledger follows %s", got)
	}
}

// While its word is heard late, writing another topic ends as soon as it comes.
func TestLedgerThatFollowsAnotherTopicEndsWritingWhenItAnswers(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	cfg := testConfig(broker.ListenAddrs())
	if err := broker.CreateTopic(cfg.Topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	l := &fakeLedger{err: errLedger}
	j := started(t, cfg, l, a)
	eventually(t, "written without the ledger", func() bool {
		_, err := j.put(deposit(uuid.New(), 1))
		return err == nil
	})
	l.set(wallet.Topic{Name: cfg.Topic, ID: uuid.New(), Partitions: 1}, nil)
	eventually(t, "not written any more", func() bool {
		_, err := j.put(deposit(uuid.New(), 1))
		return errors.Is(err, wallet.ErrNotJournaled)
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.assigned != 0 {
		t.Error("it is read")
	}
}

func TestBrokerThatComesLateIsMet(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	var away atomic.Bool
	away.Store(true)
	broker.ControlKey(-1, func(kmsg.Request) (kmsg.Response, error, bool) {
		if !away.Load() {
			broker.DropControl()
			return nil, nil, false
		}
		broker.KeepControl()
		return nil, errors.New("connection reset"), true
	})
	l := &fakeLedger{}
	j := started(t, testConfig(broker.ListenAddrs()), l, a)
	tried(t, l, 2)
	refused(t, j, a)
	away.Store(false)
	a.until(t, "read", func() bool { return len(a.owned) == 1 })
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
		t.Error(err)
	}
}

// A topic under the same name is not the journal: what is written to it would
// never be applied, and its offsets mean other records.
func TestTopicMadeAnewFailsWritesAndHaltsReading(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	cfg := testConfig(broker.ListenAddrs())
	cfg.AckTimeout = 2 * time.Second
	j := met(t, cfg, &fakeLedger{}, a)
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
		t.Fatal(err)
	}
	a.until(t, "read", func() bool { return len(a.fetched) == 1 })
	if err := errors.Join(broker.DeleteTopic(cfg.Topic), broker.CreateTopic(cfg.Topic, 1, nil)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if receipt, err := j.put(deposit(uuid.New(), 2)); err == nil {
			t.Fatalf("written to the other topic: %+v", receipt)
		}
	}
	var records []*kgo.Record
	for range 2 {
		foreign := operations(deposit(uuid.New(), 3))
		r := Encode(&foreign)
		r.Topic = cfg.Topic
		records = append(records, r)
	}
	if err := client(t, cfg.Brokers).ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	a.until(t, "halted", func() bool { return errors.Is(a.halted[0], wallet.ErrTopicChanged) })
	if got := broker.PartitionInfo(cfg.Topic, 0).HighWatermark; got != 2 || len(a.seen()) != 1 {
		t.Errorf("%d records in the other topic, %d operations read", got, len(a.seen()))
	}
}

// Where nothing was written yet neither an offset nor the client tells the two topics apart.
func TestATopicMadeAnewIsNotWrittenWhereTheOldOneWasEmpty(t *testing.T) {
	t.Parallel()
	broker, _, j := metFour(t)
	if err := errors.Join(broker.DeleteTopic(j.config.Topic), broker.CreateTopic(j.config.Topic, 4, nil)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no partition is written", func() bool {
		return !slices.ContainsFunc(j.writer.Load().writers, func(p *partitionWriter) bool { return p.currentHold() != holdForeign })
	})
	for range 8 {
		if _, err := j.put(deposit(uuid.New(), 1)); !errors.Is(err, wallet.ErrNotJournaled) {
			t.Error(err)
		}
	}
	for p := range int32(4) {
		if got := broker.PartitionInfo(j.config.Topic, p).HighWatermark; got != 0 {
			t.Errorf("%d records in partition %d of the other topic", got, p)
		}
	}
}
