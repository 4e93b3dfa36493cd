package journal

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// remade gives the topic's name to another topic and returns it.
func remade(t *testing.T, broker *kfake.Cluster, cfg Config) wallet.Topic {
	t.Helper()
	if err := errors.Join(broker.DeleteTopic(cfg.Topic), broker.CreateTopic(cfg.Topic, cfg.Partitions, nil)); err != nil {
		t.Fatal(err)
	}
	return wallet.Topic{Name: cfg.Topic, ID: broker.TopicInfo(cfg.Topic).TopicID, Partitions: cfg.Partitions}
}

// accepted is what the ledger says once an operator has decided.
func (l *fakeLedger) accepted(topic wallet.Topic) {
	l.mu.Lock()
	defer l.mu.Unlock()
	topic.Generation = l.topic.Generation + 1
	l.topic = topic
}

func (a *fakeApplier) restart(next int64) {
	a.change(func() {
		a.kept.mu.Lock()
		defer a.kept.mu.Unlock()
		a.kept.next[0] = next
		a.assigned = 0
	})
}

func TestATopicThatAnOperatorHasAcceptedIsMetByAReplicaThatRuns(t *testing.T) {
	t.Parallel()
	broker, l, a := embeddedtest.Kfake(t), &fakeLedger{}, newApplier(nil)
	cfg := testConfig(broker.ListenAddrs())
	j := met(t, cfg, l, a)
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
		t.Fatal(err)
	}
	a.until(t, "read", func() bool { return len(a.fetched) == 1 })
	for n := range 2 { // and once more
		now := remade(t, broker, cfg)
		a.restart(0)
		l.accepted(now)
		a.until(t, "assigned again", func() bool { return a.assigned > 0 && a.owned[0] })
		if receipt, err := j.put(deposit(uuid.New(), 2)); err != nil || receipt.Offset != 0 {
			t.Fatalf("written at %+v, %v", receipt, err)
		}
		a.until(t, "the new topic is read", func() bool { return len(a.fetched) == 2+n })
		a.until(t, "what the last one had is told to be lost", func() bool { return a.replaced == 1+n })
		if err := j.Available(); err != nil {
			t.Error(err)
		}
	}
}

func TestAnOffsetThatAnOperatorHasAcceptedIsReadByAReplicaThatRuns(t *testing.T) {
	t.Parallel()
	broker, l, first := embeddedtest.Kfake(t), &fakeLedger{}, newApplier(nil)
	cfg := testConfig(broker.ListenAddrs())
	j := met(t, cfg, l, first)
	for range 4 {
		if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	if err := broker.DeleteRecords(cfg.Topic, 0, 2); err != nil {
		t.Fatal(err)
	}
	a := newApplier(&offsets{next: map[int32]int64{0: 1}})
	j = started(t, cfg, l, a)
	a.until(t, "halted", func() bool { return a.halted[0] != nil })
	j.Resume(0)
	if paused := readerOf(t, j).client.PauseFetchPartitions(nil); !slices.Contains(paused[cfg.Topic], 0) {
		t.Errorf("a halted partition was resumed: paused are %v", paused)
	}
	writers := j.writer.Load()
	a.restart(2)
	l.accepted(l.follows())
	a.until(t, "what is left is read", func() bool { return len(a.fetched) == 2 })
	if j.writer.Load() != writers || a.replaced != 0 {
		t.Error("writing was interrupted")
	}
}

// What was lost with the old topic is applied before what is written into the next.
func TestANewTopicIsWrittenOnceWhatTheOldOneHadIsApplied(t *testing.T) {
	t.Parallel()
	broker, l, a := embeddedtest.Kfake(t), &fakeLedger{}, newApplier(nil)
	cfg := testConfig(broker.ListenAddrs())
	j := met(t, cfg, l, a)
	now := remade(t, broker, cfg)
	a.change(func() { a.recovering = true })
	a.restart(0)
	l.accepted(now)
	a.until(t, "the new topic is read", func() bool { return a.assigned > 0 && a.replaced == 1 })
	if _, err := j.put(deposit(uuid.New(), 1)); !errors.Is(err, wallet.ErrNotJournaled) {
		t.Errorf("written before: %v", err)
	}
	if err := j.Available(); !errors.Is(err, ErrHeld) {
		t.Errorf("the journal is said to be %v", err)
	}
	a.change(func() { a.recovering = false })
	eventually(t, "it is written", func() bool { _, err := j.put(deposit(uuid.New(), 1)); return err == nil })
}

// A ledger that follows nothing was emptied under a running walletd.
func TestALedgerThatFollowsNothingIsNoOperatorsWord(t *testing.T) {
	t.Parallel()
	broker, l, a := embeddedtest.Kfake(t), &fakeLedger{}, newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), l, a)
	r := givenReader(t, j)
	l.set(wallet.Topic{}, nil)
	r.mu.Lock()
	r.share(0).missed = true // it would be read anew
	r.mu.Unlock()
	eventually(t, "the reader is old enough", func() bool { return time.Since(r.born) > minRejoin })
	tried(t, l, 2)
	if j.reader.Load() != r || l.follows().ID != uuid.Nil {
		t.Error("the topic was met anew")
	}
}

func TestStatusSaysWhyPartitionsAreStopped(t *testing.T) {
	t.Parallel()
	broker := embeddedtest.Kfake(t)
	cfg := testConfig(broker.ListenAddrs())
	j := met(t, cfg, &fakeLedger{}, newApplier(nil))
	for range 4 {
		if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := broker.DeleteRecords(cfg.Topic, 0, 2); err != nil {
		t.Fatal(err)
	}
	right := j.writer.Load().topic
	other, more := right, right
	other.ID, more.Partitions = uuid.New(), 2
	for _, c := range []struct {
		name          string
		follows       wallet.Topic
		next          int64
		stopped       string
		lag           int64
		start, end    int64 // of the acceptance
		notAcceptable bool
	}{
		{name: "applied", follows: right, next: 4, notAcceptable: true},
		{name: "behind", follows: right, next: 2, lag: 2, notAcceptable: true},
		{name: "deleted", follows: right, next: 1, stopped: "offsets 1 to 1 are gone", lag: -1, start: 2, end: 4},
		{name: "never read", follows: right, next: -1, stopped: "offsets 0 to 1 are gone", lag: -1, start: 2, end: 4},
		{name: "cut off", follows: right, next: 9, stopped: "4 to 8 are gone", lag: -1, start: 2, end: 4},
		{name: "another topic", follows: other, next: 3, stopped: "another", lag: -1, start: 2, end: 4},
		{name: "other partitions", follows: more, next: 3, stopped: "another", lag: -1, notAcceptable: true},
		{name: "no ledger's topic", next: -1, lag: 4, notAcceptable: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			offsets := map[int32]int64{}
			if c.next >= 0 {
				offsets[0] = c.next
			}
			s, err := j.Status(t.Context(), c.follows, offsets)
			if err != nil {
				t.Fatal(err)
			}
			p := s.Partitions[0]
			if (p.Stopped == nil) != (c.stopped == "") || p.Stopped != nil && !strings.Contains(p.Stopped.Error(), c.stopped) || p.Lag() != c.lag || p.Start != 2 || p.End != 4 {
				t.Errorf("%+v, lag %d", p, p.Lag())
			}
			for _, at := range []struct {
				from func(Partition) int64
				to   int64
			}{{FromStart, c.start}, {FromEnd, c.end}} {
				a, err := s.Repointing(at.from)
				if (err != nil) != c.notAcceptable {
					t.Fatalf("%+v, %v", a, err)
				}
				if err == nil && (len(a.Moves) != 1 || a.Moves[0] != (wallet.Move{From: c.next, To: at.to}) || a.To != s.Kafka) {
					t.Errorf("%+v", a)
				}
			}
		})
	}
	if err := broker.DeleteTopic(cfg.Topic); err != nil {
		t.Fatal(err)
	}
	var s Status
	eventually(t, "the topic is gone", func() bool { // the client remembers it for a moment
		var err error
		s, err = j.Status(t.Context(), right, nil)
		return err == nil && s.Kafka.ID == uuid.Nil
	})
	if s.Partitions[0].Stopped == nil {
		t.Errorf("without a topic: %+v", s)
	}
	if _, err := s.Repointing(FromStart); err == nil || !strings.Contains(err.Error(), "with 1 partitions") {
		t.Error(err)
	}
}
