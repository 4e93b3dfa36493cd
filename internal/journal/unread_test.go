package journal

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
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
// below one that was acknowledged to the same partition writer, or that the ledger had passed. It is
// acknowledged to nobody, for the ledger may pass it unread, and nothing more is written
// until a look has told where the partition ends.
func TestARecordInThePlaceOfALostOneIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*partitionWriter){
		"acknowledged before":  func(p *partitionWriter) { p.judge(9, nil) },
		"passed by the ledger": func(p *partitionWriter) { p.reached(10) },
	} {
		a := newApplier(nil)
		p := &partitionWriter{partition: 3, ackTimeout: time.Hour}
		w := &topicWriter{applier: a, writers: []*partitionWriter{p}, gap: make(chan struct{}, 1), ready: make(chan struct{}, 1), log: slog.New(slog.DiscardHandler)}
		before(p)
		write := func(offset int64) (told error) {
			told = errors.New("nothing")
			if _, err := p.add(&entry{rec: operations(deposit(uuid.New(), 1)), done: func(_ wallet.Receipt, err error) { told = err }}); err != nil {
				return err
			}
			w.answered(p, p.take()[0], &kgo.Record{Partition: 3, Offset: offset}, nil)
			p.landed()
			return told
		}
		if err := write(5); !errors.Is(err, wallet.ErrUnacknowledged) || len(a.acked) > 0 || p.currentHold() != holdLost {
			t.Errorf("%s: told %v, acknowledged %v, %q", name, err, a.acked, p.currentHold())
		}
		if len(a.truncated) != 1 || a.truncated[0].partition != 3 || a.truncated[0].end != 5 {
			t.Errorf("%s: said to be lost: %v", name, a.truncated)
		}
		if err := write(6); !errors.Is(err, wallet.ErrNotJournaled) {
			t.Errorf("%s: after it: %v", name, err)
		}
		w.review(map[int32]int64{3: 6}, look{written: w.written(), ends: map[int32]int64{3: 6}}) // as an operator has it
		if err := write(6); err != nil || len(a.acked) != 1 || a.acked[0].Receipt.Offset != 6 {
			t.Errorf("%s: once it may: %v, acknowledged %v", name, err, a.acked)
		}
	}
}

// What the ledger passes while a flush is under way may be that flush's own records.
func TestARecordThatTheLedgerHasPassedBeforeItsAnswerIsAcknowledged(t *testing.T) {
	t.Parallel()
	p := &partitionWriter{ackTimeout: time.Hour}
	if _, err := p.add(&entry{rec: operations(deposit(uuid.New(), 1)), done: func(wallet.Receipt, error) {}}); err != nil {
		t.Fatal(err)
	}
	p.take()
	p.reached(8)
	if v := p.judge(7, nil); v < acknowledged {
		t.Error("not acknowledged")
	}
	p.landed()
}

// A partition that has lost its end has all that the ledger asks for: an operator has decided,
// or only what was not applied yet is lost. What was acknowledged here and is lost is applied
// before it is written again, if that is soon.
func TestAPartitionIsWrittenAgainOnceWhatItHasLostIsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApplier(nil)
		p, other := &partitionWriter{partition: 0}, &partitionWriter{partition: 1}
		w := &topicWriter{applier: a, writers: []*partitionWriter{p, other}, log: slog.New(slog.DiscardHandler)}
		look := func(applied, end int64, told bool) writeHold {
			known := look{written: w.written(), ends: map[int32]int64{1: 7}}
			if told {
				known.ends[0] = end
			}
			w.review(map[int32]int64{0: applied, 1: 7}, known)
			if why := other.currentHold(); why != "" {
				t.Errorf("the other partition: %s", why)
			}
			return p.currentHold()
		}
		for n, c := range []struct {
			applied, end int64
			untold       bool
			acknowledged int64
			after        time.Duration
			recovered    bool
			want         writeHold
			truncated    int
		}{
			{applied: 5, end: 5, acknowledged: 5, want: ""},
			{applied: 5, end: 3, want: holdLost},
			{applied: 5, untold: true, want: holdLost},
			{applied: 0, untold: true, want: holdLost}, // as an operator has it
			{applied: 3, end: 3, want: holdRecovering, truncated: 1},
			{applied: 3, untold: true, want: holdRecovering, truncated: 1},
			{applied: 3, end: 3, recovered: true, want: "", truncated: 1},
			{applied: 9, end: 3, want: holdLost, truncated: 1},
			{applied: 3, end: 4, want: holdRecovering, truncated: 2},
			{applied: 3, end: 4, after: maxRecovery - 1, want: holdRecovering, truncated: 2},
			{applied: 3, end: 4, after: 1, want: "", truncated: 2},
			{applied: 3, end: 7, acknowledged: 9, want: holdLost, truncated: 2}, // nobody has written
			{applied: 3, end: 7, want: holdRecovering, truncated: 3},
			{applied: 3, end: 5, want: holdRecovering, truncated: 4}, // more is lost
			{applied: 3, end: 5, want: holdRecovering, truncated: 4},
			{applied: 3, end: 5, recovered: true, want: "", truncated: 4},
			{applied: 3, end: 6, acknowledged: 7, want: holdLost, truncated: 4},
			{applied: 3, end: 7, recovered: true, want: "", truncated: 5}, // only somebody has said so
			{applied: 3, end: 7, want: "", truncated: 5},
		} {
			time.Sleep(c.after)
			a.recovering = !c.recovered
			if c.acknowledged > 0 {
				p.next.Store(c.acknowledged)
			}
			if why := look(c.applied, c.end, !c.untold); why != c.want || len(a.truncated) != c.truncated {
				t.Errorf("look %d: %q, %d times lost, want %q, %d", n+1, why, len(a.truncated), c.want, c.truncated)
			}
		}
		if want := []loss{{0, 3, 5}, {0, 4, 3}, {0, 7, 9}, {0, 5, 7}, {0, 7, 7}}; !slices.Equal(a.truncated, want) {
			t.Errorf("said to be lost: %v, want %v", a.truncated, want)
		}
	})
}

// What was left of what was acknowledged here is lost too, while the first loss is recovered, or
// once it was, and before the ledger has come to it.
func TestWhatIsLeftOfAPartitionMayBeLostToo(t *testing.T) {
	for name, recovered := range map[string]bool{"meanwhile": false, "later": true} {
		a := newApplier(nil)
		p := &partitionWriter{}
		w := &topicWriter{applier: a, writers: []*partitionWriter{p}, log: slog.New(slog.DiscardHandler)}
		look := func(end int64, recovering bool) writeHold {
			a.recovering = recovering
			w.review(map[int32]int64{0: 3}, look{written: w.written(), ends: map[int32]int64{0: end}})
			return p.currentHold()
		}
		p.judge(8, nil)
		look(7, true)
		look(7, true)
		if why := look(7, !recovered); recovered != (why == "") {
			t.Fatalf("%s: held for %q", name, why)
		}
		look(5, true)
		if why := look(5, true); why != holdRecovering || !slices.Equal(a.truncated, []loss{{0, 7, 9}, {0, 5, 7}}) {
			t.Errorf("%s: held for %q, lost %v", name, why, a.truncated)
		}
	}
}

// What follows a record in a lost one's place is in nobody's, and nobody knows it yet.
func TestAFlushThatShowsALossIsNotAcknowledgedFromThereOn(t *testing.T) {
	a := newApplier(nil)
	p := &partitionWriter{ackTimeout: time.Hour}
	w := &topicWriter{applier: a, writers: []*partitionWriter{p}, gap: make(chan struct{}, 1), log: slog.New(slog.DiscardHandler)}
	p.judge(99, nil)
	for range 4 {
		if _, err := p.add(&entry{rec: operations(deposit(uuid.New(), 1)), done: func(wallet.Receipt, error) {}}); err != nil {
			t.Fatal(err)
		}
	}
	for i, g := range p.take() {
		w.answered(p, g, &kgo.Record{Offset: 98 + int64(i)}, nil)
	}
	p.landed()
	if len(a.acked) > 0 || !slices.Equal(a.truncated, []loss{{0, 98, 100}}) {
		t.Errorf("acknowledged %+v, lost %v", a.acked, a.truncated)
	}
}

// A new topic whose end is not told at first waits, once it is, for what was lost with the topic
// before.
func TestAnEndThatIsToldLateDoesNotEndTheWaitForWhatWasLost(t *testing.T) {
	a := newApplier(nil)
	a.recovering = true
	p := &partitionWriter{partition: 3}
	w := &topicWriter{applier: a, writers: []*partitionWriter{p}, log: slog.New(slog.DiscardHandler)}
	w.recoverFirst()
	applied := map[int32]int64{3: 5}
	for _, c := range []struct {
		ends       map[int32]int64
		recovering bool
		want       writeHold
	}{{nil, true, holdUntold}, {map[int32]int64{3: 5}, true, holdRecovering}, {map[int32]int64{3: 5}, false, ""}} {
		a.recovering = c.recovering
		w.review(applied, look{written: w.written(), ends: c.ends})
		if why := p.currentHold(); why != c.want {
			t.Errorf("ends %v: held for %q, want %q", c.ends, why, c.want)
		}
	}
}

// What a record shows while the ends are asked for is not known by that look.
func TestALookOfBeforeALossDoesNotHideIt(t *testing.T) {
	a := newApplier(nil)
	p := &partitionWriter{partition: 3, ackTimeout: time.Hour}
	w := &topicWriter{applier: a, writers: []*partitionWriter{p}, gap: make(chan struct{}, 1), log: slog.New(slog.DiscardHandler)}
	p.judge(9, nil)
	before := look{written: w.written(), ends: map[int32]int64{3: 10}}
	if _, err := p.add(&entry{rec: operations(deposit(uuid.New(), 1)), done: func(wallet.Receipt, error) {}}); err != nil {
		t.Fatal(err)
	}
	w.answered(p, p.take()[0], &kgo.Record{Partition: 3, Offset: 5}, nil)
	p.landed()
	w.review(map[int32]int64{3: 5}, before)
	if p.currentHold() != holdLost || p.next.Load() != 10 || !slices.Equal(a.truncated, []loss{{3, 5, 10}}) {
		t.Errorf("held for %q, acknowledged to %d, lost %v", p.currentHold(), p.next.Load(), a.truncated)
	}
}

func told(topic uuid.UUID, epoch int32) kmsg.MetadataResponseTopic {
	return kmsg.MetadataResponseTopic{TopicID: topic, Partitions: []kmsg.MetadataResponseTopicPartition{{LeaderEpoch: epoch}}}
}

// Epochs go back with disks that are put back to a backup. A deposed leader is not believed for
// that while those are silent who know better, nor by answers from before theirs.
func TestOnlyAllBrokersTogetherTakeAnEpochBack(t *testing.T) {
	var known leaders
	ours, silent := uuid.New(), kmsg.MetadataResponseTopic{}
	earlier, late := known.ask(), 100
	for n, c := range []struct {
		question int
		answers  []kmsg.MetadataResponseTopic
		want     int32
	}{
		{known.ask(), []kmsg.MetadataResponseTopic{told(ours, 5), told(ours, 6)}, 6},
		{known.ask(), []kmsg.MetadataResponseTopic{told(ours, 5), silent}, 6},
		{known.ask(), nil, 6},
		{earlier, []kmsg.MetadataResponseTopic{told(ours, 5), told(ours, 5)}, 6},
		{known.ask(), []kmsg.MetadataResponseTopic{told(ours, 2), told(ours, 2)}, 2},
		{late + 1, []kmsg.MetadataResponseTopic{told(ours, 3), silent}, 3},
		{late, []kmsg.MetadataResponseTopic{told(ours, 2), told(ours, 2)}, 3},
		{late + 2, []kmsg.MetadataResponseTopic{told(ours, 2)}, 3}, // who is cut off knows of no other
	} {
		known.hear(c.question, c.answers)
		if got := known.epochs[ours][0]; got != c.want {
			t.Errorf("question %d: epoch %d is remembered, want %d", n, got, c.want)
		}
	}
	alone := []kmsg.MetadataResponseTopic{told(ours, 2)}
	if most := known.hear(late+3, alone); most != 2 {
		t.Errorf("it counts as one of %d", most)
	}
	known.mostAt = known.mostAt.Add(-mostFor - 1) // the other is gone for good
	if most := known.hear(late+4, alone); most != 1 || known.epochs[ours][0] != 2 {
		t.Errorf("it counts as one of %d; epoch %d is remembered", most, known.epochs[ours][0])
	}
}

func TestAnEndThatALeaderBeforeTheLastTellsIsNotBelieved(t *testing.T) {
	ours := uuid.New()
	var known leaders
	known.hear(known.ask(), []kmsg.MetadataResponseTopic{told(ours, 3), told(ours, 2), told(uuid.New(), 7)}) // one was deposed, one has not learnt that the topic was made anew
	for epoch, believed := range map[int32]bool{2: false, 3: true, -1: true, 4: true} {
		listed := kadm.ListedOffsets{"t": {0: {Topic: "t", Offset: 7, LeaderEpoch: epoch}, 1: {Topic: "t", Partition: 1, Offset: 8, LeaderEpoch: 0}}}
		ends, err := listedOffsets(known.fenced(ours, listed), nil)
		if _, got := ends[0]; got != believed || believed != (err == nil) || ends[1] != 8 {
			t.Errorf("epoch %d: %v, %v", epoch, ends, err)
		}
	}
}

func TestNoPartitionIsWrittenWhileTheTopicIsAnother(t *testing.T) {
	empty, written := &partitionWriter{partition: 3}, &partitionWriter{partition: 4}
	written.judge(0, nil)
	ours, another := wallet.Topic{ID: uuid.New()}, uuid.New()
	w := &topicWriter{topic: ours, applier: newApplier(nil), writers: []*partitionWriter{empty, written}, log: slog.New(slog.DiscardHandler)}
	ends, of := map[int32]int64{3: 0, 4: 1}, func(topics ...uuid.UUID) map[uuid.UUID]bool {
		set := map[uuid.UUID]bool{}
		for _, id := range topics {
			set[id] = true
		}
		return set
	}
	for n, c := range []struct {
		naming
		ends  map[int32]int64
		empty writeHold
		other writeHold
	}{
		{naming{of(ours.ID), true}, ends, "", ""},
		{naming{of(ours.ID, another), true}, nil, holdForeign, ""}, // some of before, or already of the next
		{naming{of(another), false}, nil, holdForeign, ""},         // most do not answer
		{naming{of(another), true}, nil, holdForeign, holdForeign},
		{naming{nil, true}, nil, holdForeign, holdForeign},
		{naming{of(ours.ID), true}, ends, "", ""},
	} {
		w.review(map[int32]int64{}, look{w.written(), c.ends, c.naming})
		if empty.currentHold() != c.empty || written.currentHold() != c.other {
			t.Errorf("look %d: held for %q and %q, want %q and %q", n, empty.currentHold(), written.currentHold(), c.empty, c.other)
		}
	}
}

// A broker that has not learnt of a new topic is heard alone for one look.
func TestALookAtAnotherTopicEndsNoOtherHold(t *testing.T) {
	ours, another := wallet.Topic{ID: uuid.New()}, uuid.New()
	looks := func(a *fakeApplier, p *partitionWriter, next int64, ends map[int32]int64) (holds []writeHold) {
		w := &topicWriter{topic: ours, applier: a, writers: []*partitionWriter{p}, log: slog.New(slog.DiscardHandler)}
		if a.recovering {
			w.recoverFirst()
		}
		for _, topic := range []uuid.UUID{ours.ID, another, ours.ID} {
			w.review(map[int32]int64{3: next}, look{w.written(), ends, naming{map[uuid.UUID]bool{topic: true}, true}})
			holds = append(holds, p.currentHold())
		}
		return holds
	}
	recovering := newApplier(nil)
	recovering.recovering = true
	if got := looks(recovering, &partitionWriter{partition: 3}, 0, map[int32]int64{3: 0}); !slices.Equal(got, []writeHold{holdRecovering, holdForeign, holdRecovering}) {
		t.Errorf("while what was lost is applied: %q", got)
	}
	p := &partitionWriter{partition: 3}
	p.judge(9, nil) // acknowledged up to 10
	a := newApplier(nil)
	if got := looks(a, p, 4, map[int32]int64{3: 5}); !slices.Equal(got, []writeHold{holdLost, holdLost, ""}) || !slices.Equal(a.truncated, []loss{{3, 5, 10}}) {
		t.Errorf("of a partition that has lost its end: %q, told %v", got, a.truncated)
	}
}

// It was written while the ledger did not answer; the end is told a look later than the offset.
func TestALossIsSeenWhereTheEndWasNotToldBefore(t *testing.T) {
	p := &partitionWriter{partition: 3}
	w := &topicWriter{applier: newApplier(nil), writers: []*partitionWriter{p}, log: slog.New(slog.DiscardHandler)}
	p.judge(49, nil) // acknowledged up to 50
	for _, c := range []struct {
		ends map[int32]int64
		want writeHold
	}{{nil, holdUntold}, {map[int32]int64{3: 40}, holdLost}} {
		w.review(map[int32]int64{3: 30}, look{written: w.written(), ends: c.ends})
		if got := p.currentHold(); got != c.want {
			t.Errorf("held for %q, want %q", got, c.want)
		}
	}
}

// A record has shown the loss; then a broker is heard alone that tells of another topic.
func TestALookAtAnotherTopicEndsNoWaitForWhatARecordHasShownLost(t *testing.T) {
	a, ours := newApplier(nil), wallet.Topic{ID: uuid.New()}
	p := &partitionWriter{partition: 3, ackTimeout: time.Hour}
	w := &topicWriter{topic: ours, applier: a, writers: []*partitionWriter{p}, gap: make(chan struct{}, 1), log: slog.New(slog.DiscardHandler)}
	p.judge(9, nil) // acknowledged up to 10
	if _, err := p.add(&entry{rec: operations(deposit(uuid.New(), 1)), done: func(wallet.Receipt, error) {}}); err != nil {
		t.Fatal(err)
	}
	w.answered(p, p.take()[0], &kgo.Record{Partition: 3, Offset: 8}, nil)
	p.landed()
	a.recovering = true
	for _, c := range []struct {
		topic uuid.UUID
		want  writeHold
	}{{uuid.New(), holdLost}, {ours.ID, holdRecovering}} {
		w.review(map[int32]int64{3: 4}, look{w.written(), map[int32]int64{3: 10}, naming{map[uuid.UUID]bool{c.topic: true}, true}})
		if got := p.currentHold(); got != c.want {
			t.Errorf("held for %q, want %q", got, c.want)
		}
	}
}

// A late flush may be judged while the meeting looks.
func TestALookDoesNotLiftAHoldThatItHasNotSeen(t *testing.T) {
	p := &partitionWriter{}
	p.hold(holdRecovering)
	p.hold(holdLost)
	if p.rehold(holdRecovering, "") || p.currentHold() != holdLost {
		t.Errorf("held for %q", p.currentHold())
	}
	if !p.rehold(holdLost, "") || p.currentHold() != "" {
		t.Errorf("held for %q", p.currentHold())
	}
}

// lapse is a ledger that does not answer some of the questions.
type lapse struct {
	*fakeLedger
	left atomic.Int32
}

func (l *lapse) Followed(ctx context.Context) (wallet.Topic, map[int32]int64, error) {
	if l.left.Load() > 0 {
		l.left.Add(-1)
		return wallet.Topic{}, nil, wallet.ErrUnavailable
	}
	return l.fakeLedger.Followed(ctx)
}

// meetingOf is the meeting of a journal that has met its topic, for the test to go on with.
func meetingOf(t *testing.T, l Ledger, a Applier) *meeting {
	t.Helper()
	j, err := Open(testConfig(embeddedtest.Kfake(t).ListenAddrs()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	j.applier = a
	j.closeBegun()
	m := &meeting{journal: j, ledger: l}
	eventually(t, "met", func() bool { _, err := m.meet(true); return err == nil })
	return m
}

// PostgreSQL falls while partitions wait for what was lost: they do not wait longer for that.
func TestAHoldEndsInTimeWhileTheLedgerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	a, l := newApplier(nil), &lapse{fakeLedger: &fakeLedger{}}
	m := meetingOf(t, l, a)
	w := m.journal.writer.Load()
	a.recovering = true
	w.recoverFirst()
	m.leave(w.topic)
	l.left.Store(2)
	for _, want := range []writeHold{holdRecovering, ""} {
		if _, err := m.meet(true); !errors.Is(err, wallet.ErrUnavailable) || w.writers[0].currentHold() != want {
			t.Errorf("%v, held for %q, want %q", err, w.writers[0].currentHold(), want)
		}
		w.recoverBy = time.Now()
	}
}

// One answer of PostgreSQL is missing just after an operator has accepted another topic.
func TestANewTopicWaitsForWhatWasLostThoughTheLedgerIsAwayForAMoment(t *testing.T) {
	t.Parallel()
	a, l := newApplier(nil), &lapse{fakeLedger: &fakeLedger{}}
	m := meetingOf(t, l, a)
	m.leave(wallet.Topic{ID: uuid.New()})
	m.written = uuid.New() // the topic before
	a.recovering = true
	l.left.Store(1)
	if _, err := m.meet(true); err == nil || a.replaced != 1 {
		t.Fatalf("%v, replaced %d times", err, a.replaced)
	}
	if _, err := m.meet(true); err != nil {
		t.Fatal(err)
	}
	if _, err := m.journal.put(deposit(uuid.New(), 1)); !errors.Is(err, wallet.ErrNotJournaled) {
		t.Errorf("written: %v", err)
	}
}

// Partitions that have lost their ends are so for every replica, and until an operator has
// decided: others can be written meanwhile, if there are any and they acknowledge.
func TestAJournalOfWhichAPartIsLostCanBeWritten(t *testing.T) {
	t.Parallel()
	answer := func(context.Context) error { return nil }
	j := &Journal{brokers: breaker.New(breaker.Config{Name: "Kafka", Probe: answer, Interval: time.Second, Timeout: patience, Log: slog.New(slog.DiscardHandler)})}
	go j.brokers.Run(t.Context())
	eventually(t, "the brokers answer", func() bool { return j.brokers.Err() == nil })
	writers := []*partitionWriter{{}, {}, {}, {}}
	j.writer.Store(&topicWriter{writers: writers})
	for n, c := range []struct {
		do                  func()
		available, writable bool
	}{
		{func() {}, true, true},
		{func() { writers[0].hold(holdLost) }, false, true},
		{func() { writers[1].hold(holdUntold) }, false, false},
		{func() { writers[1].hold(holdLost) }, false, true},
		{func() { writers[2].givenUp = true }, false, false},
		{func() { writers[2].hold(holdLost) }, false, true},
		{func() { writers[3].hold(holdLost) }, false, false},
		{func() { writers[0].hold("") }, false, true},
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
