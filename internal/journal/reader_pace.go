package journal

import (
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
)

// After a poll that brought only this replica's records the reader rests: they were applied
// when they were acknowledged, and fetching each one as it is written costs the broker as much
// as writing it. Another replica's record is delayed by minRest where such records are
// frequent, by up to maxRest after several polls without one, and by the wave under way
// (awaitWave).
const (
	minRest = 5 * time.Millisecond
	maxRest = 25 * time.Millisecond
)

// pollPace says after which polls the reader rests, and for how long.
type pollPace struct {
	last   time.Duration // 0: another replica's records have come since
	rested bool          // before the last poll
}

// after returns the rest after a poll that brought only own records, or others too. The
// first poll after a rest brings what the client had fetched before it: there is no rest
// until what came meanwhile has been polled too.
func (s *pollPace) after(own bool) time.Duration {
	switch {
	case !own:
		*s = pollPace{}
		return 0
	case s.rested:
		s.rested = false
		return 0
	}
	s.last, s.rested = min(max(minRest, 2*s.last), maxRest), true
	return s.last
}

// foreign reports whether any of the records was written by somebody else.
func foreign(fetches kgo.Fetches, replica uuid.UUID) bool {
	own := replica.String()
	isOwn := func(h kgo.RecordHeader) bool { return h.Key == headerReplica && string(h.Value) == own }
	for r := range fetches.RecordsAll() {
		if !slices.ContainsFunc(r.Headers, isOwn) {
			return true
		}
	}
	return false
}

// rest waits until the next poll is due: at once if an acknowledgement has shown
// that there is something between the own records.
func (r *reader) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.journal.gap:
	case <-r.ctx.Done():
	}
}

// awaitWave lets a wave under way be answered before own records are delivered that were
// fetched meanwhile: they are of that wave, a part of it, which is better applied as a
// whole. Another replica's are delivered at once, for what the wave brings can only be
// taken behind them.
func (r *reader) awaitWave() {
	w := r.journal.writer.Load()
	if w == nil {
		return
	}
	v := w.wave.Load()
	if v == nil {
		return
	}
	select {
	case <-v.over:
	case <-r.ctx.Done():
	}
}
