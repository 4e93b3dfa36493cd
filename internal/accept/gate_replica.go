package accept

import (
	"sync"
	"time"
)

// replicaGate bounds the operations of all wallets. What was accepted while the ledger
// was down is forgiven: that wait has no bound.
type replicaGate struct {
	maxWaits int // requests beyond which none waits
	backlog  Backlog

	mu sync.Mutex
	gate
	countFrom time.Time // operations from then on count
	forgiven  int64     // the count of outcomes at which everything accepted before countFrom has one
}

// enter lets a request of n in, and says whether it may wait for its outcome.
func (r *replicaGate) enter(now time.Time, n int) (mayWait bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	unsettled, outcomes := r.backlog.UnsettledInAll()
	unsettled -= int(max(0, r.forgiven-outcomes))
	if again := r.gate.enter(now, n, load{max(0, unsettled), outcomes}); again > 0 {
		return false, overloaded("too many operations wait", again)
	}
	return r.unansweredRequests <= r.maxWaits, nil
}

// countsFrom is since when operations of a wallet count.
func (r *replicaGate) countsFrom() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.countFrom
}

func (r *replicaGate) leave(now time.Time, n, answered int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gate.leave(now, n, answered)
}

// forgive has what was accepted before not count: the ledger is down. It is settled
// before what is accepted later, as a rule.
func (r *replicaGate) forgive(before time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	unsettled, outcomes := r.backlog.UnsettledInAll()
	r.countFrom, r.forgiven = before, outcomes+int64(unsettled)
}
