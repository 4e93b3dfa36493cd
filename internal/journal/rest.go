package journal

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// restBetweenPolls is how long the reader leaves the broker alone when all that it
// brought was this replica's own: that was applied on its acknowledgement, and
// fetching each record as it is written costs the broker as much as writing it.
// Another replica's record waits so long at the most, and only if it is the first
// for a while.
const restBetweenPolls = 5 * time.Millisecond

// foreign reports whether any of the records was written by somebody else.
func foreign(records []wallet.Record, replica uuid.UUID) bool {
	for i := range records {
		if records[i].Replica != replica {
			return true
		}
	}
	return false
}

// rest waits until the next poll is due: at once if an acknowledgement has shown
// that there is something between the own records.
func (r *reader) rest(ctx context.Context) {
	timer := time.NewTimer(restBetweenPolls)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.gap:
	case <-ctx.Done():
	}
}

// step lets a wave under way be answered before what was fetched meanwhile is delivered:
// as a rule it is of that wave, a part of it, which is better applied as a whole.
func (r *reader) step(ctx context.Context) {
	w := r.writing.Load()
	if w == nil {
		return
	}
	v := w.wave.Load()
	if v == nil {
		return
	}
	timer := time.NewTimer(waveMost)
	defer timer.Stop()
	select {
	case <-v.ended:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// gapped has the reader poll now.
func (j *Journal) gapped() {
	select {
	case j.gap <- struct{}{}:
	default:
	}
}
