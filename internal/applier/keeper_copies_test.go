package applier

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

// The journal may have lost it, and then nobody ever meets it.
func TestACopyThatIsNotMetForLongIsWrittenAgain(t *testing.T) {
	now := time.Unix(1, 0)
	k := newKeeper(&worker{applier: &Applier{Config: Config{Now: func() time.Time { return now }, Limits: Limits{MaxRequeueDelay: time.Second}}}})
	k.worker.next.Store(80)
	met, lost, fresh := uuid.New(), uuid.New(), uuid.New()
	k.copies[met], k.copies[lost] = copied{79, now}, copied{80, now}
	now = now.Add(4*time.Second + 1)
	k.copies[fresh] = copied{81, now}
	k.forgetCopies()
	if _, ok := k.copies[fresh]; len(k.copies) != 1 || !ok {
		t.Errorf("on their way are %v", k.copies)
	}
}
