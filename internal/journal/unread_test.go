package journal

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/walletd/walletd/internal/breaker"
	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// refuseEnds has the brokers not tell where the partitions end.
func refuseEnds(broker *kfake.Cluster, partitions ...int32) {
	broker.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		req := r.(*kmsg.ListOffsetsRequest)
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, asked := range req.Topics {
			topic := kmsg.NewListOffsetsResponseTopic()
			topic.Topic = asked.Topic
			for _, p := range asked.Partitions {
				told := kmsg.NewListOffsetsResponseTopicPartition()
				if told.Partition, told.Offset = p.Partition, 0; slices.Contains(partitions, p.Partition) {
					told.ErrorCode = kerr.LeaderNotAvailable.Code
				}
				topic.Partitions = append(topic.Partitions, told)
			}
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, true
	})
}

// walletIn returns a wallet of the partition.
func walletIn(j *Journal, partition int32) uuid.UUID {
	for {
		if id := uuid.New(); j.PartitionOf(id) == partition {
			return id
		}
	}
}

// Partitions lost their ends while nobody used the journal. What is written would take the
// places of what was lost, and the ledger pass it: nothing is written there until an
// operator has decided. The others are written and read, but for one of which it cannot be
// told.
func TestAPartitionThatLostItsEndIsNotWrittenOn(t *testing.T) {
	t.Parallel()
	broker := embeddedtest.Kfake(t)
	cfg, l := testConfig(broker.ListenAddrs()), &fakeLedger{}
	cfg.Partitions = 5
	met(t, cfg, l, newApplier(nil)).Close()
	const whole, untold, unknown = 2, 3, 4
	l.next = map[int32]int64{0: 9, 1: 9, whole: 0, untold: 9}
	refuseEnds(broker, untold, unknown)
	a := newApplier(&offsets{next: l.next})
	j := met(t, cfg, l, a)
	for p := range int32(5) {
		_, err := j.put(deposit(walletIn(j, p), 1))
		if refused := p == 0 || p == 1 || p == untold; refused != (err != nil) {
			t.Errorf("partition %d: %v", p, err)
		}
	}
	a.until(t, "they are stopped, and the whole one is read", func() bool {
		return errors.Is(a.halted[0], errLost) && errors.Is(a.halted[1], errLost) && a.halted[whole] == nil && len(a.fetched) > 0
	})
	if err := j.Available(); !errors.Is(err, ErrHeld) {
		t.Errorf("the journal is said to be %v", err)
	}
	if j.Writable() {
		t.Error("a partition of which nobody knows where it ends counts as one that can be written")
	}
	l.mu.Lock()
	l.next = map[int32]int64{0: 0, 1: 0} // as the operator has it
	l.mu.Unlock()
	eventually(t, "written again", func() bool { _, err := j.put(deposit(walletIn(j, 0), 1)); return err == nil })
}

// A partition that has lost its end under a running replica is not written on either, and
// one that is written stays so where its end is not told for a while.
func TestAPartitionThatLosesItsEndIsNotWrittenOnBySomebodyWhoDidSo(t *testing.T) {
	t.Parallel()
	broker := embeddedtest.Kfake(t)
	l := &fakeLedger{}
	cfg := testConfig(broker.ListenAddrs())
	cfg.Partitions = 2
	j := met(t, cfg, l, newApplier(nil))
	if _, err := j.put(deposit(walletIn(j, 1), 1)); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	l.next = map[int32]int64{0: 9, 1: 1}
	l.mu.Unlock()
	refuseEnds(broker, 1)
	eventually(t, "it is not written", func() bool { _, err := j.put(deposit(walletIn(j, 0), 1)); return err != nil })
	if _, err := j.put(deposit(walletIn(j, 1), 1)); err != nil {
		t.Errorf("where nothing is told: %v", err)
	}
}

// Nobody has looked since the end was lost, and what is written has shown it: by an offset
// below one that was acknowledged to the same pen, or that the ledger had passed. It is
// acknowledged to nobody, for the ledger may pass it unread, and nothing more is written
// until a look has told where the partition ends.
func TestARecordInThePlaceOfALostOneIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*pen){
		"acknowledged before":  func(p *pen) { p.answer(&pendingRecord{}, &kgo.Record{Offset: 9}, nil) },
		"passed by the ledger": func(p *pen) { p.reached(10) },
	} {
		var acked []int64
		least := int64(0)
		p := &pen{ackTimeout: time.Hour, ready: func() {}, gapped: func() {}, acked: func(r wallet.Record) { acked = append(acked, r.Receipt.Offset) },
			lostEnd: func(_ int32, _, l int64) { least = l }}
		before(p)
		acked = nil
		write := func(offset int64) (told error) {
			told = errors.New("nothing")
			if err := p.add(&entry{rec: operations(deposit(uuid.New(), 1)), done: func(_ wallet.Receipt, err error) { told = err }}); err != nil {
				return err
			}
			p.answer(p.take()[0], &kgo.Record{Offset: offset}, nil)
			p.landed()
			return told
		}
		if err := write(5); !errors.Is(err, wallet.ErrUnacknowledged) || len(acked) > 0 || least != 10 || p.holding() != holdLost {
			t.Errorf("%s: told %v, acknowledged %v, at least %d, %q", name, err, acked, least, p.holding())
		}
		if err := write(6); !errors.Is(err, wallet.ErrNotJournaled) {
			t.Errorf("%s: after it: %v", name, err)
		}
		p.reached(6) // as an operator has it
		p.hold("")
		if err := write(6); err != nil || !slices.Equal(acked, []int64{6}) {
			t.Errorf("%s: once it may: %v, acknowledged %v", name, err, acked)
		}
	}
}

// What the ledger passes while a flush is under way may be that flush's own records.
func TestARecordThatTheLedgerHasPassedBeforeItsAnswerIsAcknowledged(t *testing.T) {
	t.Parallel()
	p := &pen{ackTimeout: time.Hour, ready: func() {}, gapped: func() {}, acked: func(wallet.Record) {}}
	if err := p.add(&entry{rec: operations(deposit(uuid.New(), 1)), done: func(wallet.Receipt, error) {}}); err != nil {
		t.Fatal(err)
	}
	flush := p.take()
	p.reached(8)
	if !p.answer(flush[0], &kgo.Record{Offset: 7}, nil) {
		t.Error("not acknowledged")
	}
	p.landed()
}

// Partitions that have lost their ends are so for every replica, and until an operator has
// decided: others can be written meanwhile, if there are any and they acknowledge.
func TestAJournalOfWhichAPartIsLostCanBeWritten(t *testing.T) {
	t.Parallel()
	answer := func(context.Context) error { return nil }
	j := &Journal{brokers: breaker.New(breaker.Config{Name: "Kafka", Probe: answer, Interval: time.Second, Timeout: patience, Log: slog.New(slog.DiscardHandler)})}
	go j.brokers.Run(t.Context())
	eventually(t, "the brokers answer", func() bool { return j.brokers.Err() == nil })
	pens := []*pen{{}, {}, {}, {}}
	j.writing.Store(&writing{pens: pens})
	for n, c := range []struct {
		do                  func()
		available, writable bool
	}{
		{func() {}, true, true},
		{func() { pens[0].hold(holdLost) }, false, true},
		{func() { pens[1].hold(holdUntold) }, false, false},
		{func() { pens[1].hold(holdLost) }, false, true},
		{func() { pens[2].mu.Lock(); pens[2].giveUp(); pens[2].mu.Unlock() }, false, false},
		{func() { pens[2].hold(holdLost) }, false, true},
		{func() { pens[3].hold(holdLost) }, false, false},
		{func() { pens[0].hold("") }, false, true},
	} {
		c.do()
		if available := j.Available() == nil; available != c.available || j.Writable() != c.writable {
			t.Errorf("step %d: available %t, writable %t", n, available, j.Writable())
		}
	}
}

// refuseOffsets has the group's coordinator refuse to tell a partition's offset, so often.
func refuseOffsets(broker *kfake.Cluster, with *kerr.Error, often int) {
	broker.ControlKey(int16(kmsg.OffsetFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if often--; often < 0 {
			return nil, nil, false
		}
		broker.KeepControl()
		req := r.(*kmsg.OffsetFetchRequest)
		resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
		for _, g := range req.Groups {
			group := kmsg.NewOffsetFetchResponseGroup()
			group.Group = g.Group
			for _, asked := range g.Topics {
				topic := kmsg.NewOffsetFetchResponseGroupTopic()
				topic.Topic, topic.TopicID = asked.Topic, asked.TopicID
				for _, p := range asked.Partitions {
					partition := kmsg.NewOffsetFetchResponseGroupTopicPartition()
					partition.Partition, partition.ErrorCode = p, with.Code
					topic.Partitions = append(topic.Partitions, partition)
				}
				group.Topics = append(group.Topics, topic)
			}
			resp.Groups = append(resp.Groups, group)
		}
		return resp, nil, true
	})
}

// The group's own offset is not even wanted: a partition is read all the same.
func TestAPartitionWhoseGroupOffsetIsRefusedOnceIsReadInTheEnd(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	refuseOffsets(broker, kerr.TopicAuthorizationFailed, 1)
	j := started(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	a.until(t, "the partition has an owner", func() bool { return a.owned[0] })
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
		t.Fatal(err)
	}
	a.until(t, "the record is read", func() bool { return len(a.fetched) == 1 })
}

// A broker's policy may refuse the topic of dead letters. Records are read without it; one
// that does not decode waits for it, and the topic is made when it can be.
func TestWithoutATopicOfDeadLettersTheJournalIsRead(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	cfg := testConfig(broker.ListenAddrs())
	refused := make(chan struct{})
	broker.ControlKey(int16(kmsg.CreateTopics), func(r kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		req := r.(*kmsg.CreateTopicsRequest)
		select {
		case <-refused:
			return nil, nil, false
		default:
		}
		if !strings.HasSuffix(req.Topics[0].Topic, ".dead-letters") {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		topic := kmsg.NewCreateTopicsResponseTopic()
		topic.Topic, topic.ErrorCode = req.Topics[0].Topic, kerr.PolicyViolation.Code
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	j := met(t, cfg, &fakeLedger{}, a)
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
		t.Fatal(err)
	}
	a.until(t, "the record is read", func() bool { return len(a.fetched) == 1 })
	poison := wallet.Record{Kind: wallet.KindPoison, Poison: &wallet.Poison{Value: []byte("?"), Err: errors.New("what is it")}}
	if err := j.Bury(t.Context(), poison); !errors.Is(err, kerr.PolicyViolation) {
		t.Fatalf("buried where there is no topic: %v", err)
	}
	close(refused)
	eventually(t, "buried", func() bool { return j.Bury(t.Context(), poison) == nil })
}
