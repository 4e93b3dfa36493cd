package journal

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestARestBecomesLongerTheLongerOnlyOwnRecordsCome(t *testing.T) {
	var s pollPace
	// The first poll after a rest brings what was fetched before it.
	for n, want := range []time.Duration{minRest, 0, 2 * minRest, 0, 4 * minRest, 0, maxRest, 0, maxRest} {
		if d := s.after(true); d != want {
			t.Errorf("after poll %d it pollPace for %v, want %v", n, d, want)
		}
	}
	if d := s.after(false); d != 0 {
		t.Errorf("after another's record it pollPace for %v", d)
	}
	if d := s.after(true); d != minRest {
		t.Errorf("after the first own one since it pollPace for %v", d)
	}
}

func TestARestIsShortAndEndsAtOnceWhenAGapShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{journal: &Journal{gap: make(chan struct{}, 1)}, ctx: t.Context()}
		rested := func() time.Duration {
			start := time.Now()
			r.rest(minRest)
			return time.Since(start)
		}
		if d := rested(); d != minRest {
			t.Errorf("rested for %v", d)
		}
		signal(r.journal.gap)
		signal(r.journal.gap) // one look is enough for both
		if d := rested(); d != 0 {
			t.Errorf("rested for %v in front of a gap", d)
		}
		if d := rested(); d != minRest {
			t.Errorf("rested for %v after it", d)
		}
		var cancel context.CancelFunc
		r.ctx, cancel = context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		if r.rest(minRest); time.Since(start) != 0 {
			t.Error("a reader that is closed pollPace")
		}
	})
}

// What is fetched while a wave is under way would be applied in parts.
func TestWhatIsFetchedDuringAWaveComesBehindItAMomentAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{journal: &Journal{}, ctx: t.Context()}
		stepped := func() time.Duration {
			start := time.Now()
			r.awaitWave()
			return time.Since(start)
		}
		if d := stepped(); d != 0 {
			t.Errorf("waited for %v where nobody can write", d)
		}
		w := &topicWriter{}
		r.journal.writer.Store(w)
		if d := stepped(); d != 0 {
			t.Errorf("waited for %v where nobody has written", d)
		}
		v := newWave(nil)
		v.join()
		w.wave.Store(v)
		for n, want := range []time.Duration{maxWave, 0, 0} {
			if d := stepped(); d != want {
				t.Errorf("poll %d waited for %v for a wave that is not answered", n, d)
			}
		}
		v = newWave(nil)
		v.join()
		w.wave.Store(v)
		var cancel context.CancelFunc
		r.ctx, cancel = context.WithCancel(t.Context())
		cancel()
		if d := stepped(); d != 0 {
			t.Errorf("a reader that is closed waits for %v", d)
		}
		r.ctx = t.Context()
		const answered = maxWave / 4
		time.AfterFunc(answered, func() { v.landed(nil) })
		if d := stepped(); d != answered {
			t.Errorf("waited for %v for a wave that was answered after %v", d, answered)
		}
	})
}

func TestOnlyWhatTheApplierDoesNotHaveIsDecoded(t *testing.T) {
	records := []*kgo.Record{{Offset: 3}, {Offset: 4}, {Offset: 9}} // a transaction's marker has offsets too
	for offset, want := range map[int64]int{0: 3, 3: 3, 4: 2, 5: 1, 9: 1, 10: 0} {
		if got := fromOffset(records, offset); len(got) != want || want > 0 && got[0].Offset < offset {
			t.Errorf("from %d on: %d records", offset, len(got))
		}
	}
}

func TestAGapInAcknowledgedOffsetsIsNoticed(t *testing.T) {
	p := &partitionWriter{}
	for _, step := range []struct {
		offset int64
		err    error
		want   verdict
	}{
		{0, nil, acknowledged}, {1, nil, acknowledged}, {5, nil, acknowledgedAfterGap}, {6, nil, acknowledged},
		{-1, context.DeadlineExceeded, unacknowledged}, {8, nil, acknowledgedAfterGap}, // the one without an answer may be at 7: it has to be fetched
	} {
		if got := p.judge(step.offset, step.err); got != step.want {
			t.Errorf("offset %d is judged %d, want %d", step.offset, got, step.want)
		}
	}
}

func TestOneRecordOfAnotherKeepsTheReaderFromItsRest(t *testing.T) {
	own, other := uuid.New(), uuid.New()
	for _, c := range []struct {
		by      []uuid.UUID
		foreign bool
	}{
		{nil, false},
		{[]uuid.UUID{own, own}, false},
		{[]uuid.UUID{own, other}, true},
		{[]uuid.UUID{uuid.Nil}, true}, // of a foreign producer
	} {
		var partition kgo.FetchPartition
		for _, replica := range c.by {
			rec := operations(deposit(uuid.New(), 1))
			rec.Replica, rec.Attempt = replica, 2
			partition.Records = append(partition.Records, Encode(&rec))
		}
		fetches := kgo.Fetches{{Topics: []kgo.FetchTopic{{Partitions: []kgo.FetchPartition{partition}}}}}
		if foreign(fetches, own) != c.foreign {
			t.Errorf("by %v, own is %v: foreign is %v", c.by, own, !c.foreign)
		}
	}
}
