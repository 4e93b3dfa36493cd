package load

import (
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/internal/wallet"
)

// audit compares one wallet's history with what its requests were told. It reads
// the history newest first, as it is listed, and keeps only the last operation.
type audit struct {
	id       uuid.UUID
	faults   *Faults
	accepted map[uuid.UUID]*record
	open     map[asked]int // requests of unknown fate
	newer    *client.Operation
	next     int64 // the sequence that must come next
	history  History
	waiting  int             // operations that may still get their outcome
	stale    bool            // the wallet moved while it was read
	items    map[int32]int32 // by request, the item of its operation that was read last

	// The earliest answers among the operations read so far, which come after
	// those still to be read: see order.
	outcomeAt, acceptedAt time.Duration
}

// History sums up what was read.
type History struct {
	Operations int64     `json:"operations"`
	Applied    int64     `json:"applied"`
	Failed     int64     `json:"failed"`
	Oldest     time.Time `json:"oldest"` // appliedAt
	Newest     time.Time `json:"newest"`
}

// asked is what a request of unknown fate can be known by.
type asked struct {
	opType wallet.Type
	amount wallet.Amount
}

// newAudit begins at the wallet as it was just read.
func newAudit(w client.Wallet, records func(func(*record) bool)) *audit {
	a := &audit{id: w.WalletID, faults: newFaults(), next: w.Sequence,
		accepted: map[uuid.UUID]*record{}, open: map[asked]int{}, items: map[int32]int32{},
		outcomeAt: math.MaxInt64, acceptedAt: math.MaxInt64}
	for r := range records {
		r.seen = false
		switch {
		case r.told == toldNothing:
			a.open[asked{r.opType, r.amount}]++
		case r.accepted() && a.accepted[r.operation] != nil:
			a.faults.add(faultShared, "operation %s was told to two requests", r.operation)
		case r.accepted():
			a.accepted[r.operation] = r
		}
	}
	return a
}

// operation takes the next older operation.
func (a *audit) operation(op *client.Operation, w client.Wallet) {
	if op.Status == client.Pending || op.Sequence == nil || op.BalanceAfter == nil {
		a.waiting++
		return
	}
	a.count(op)
	if a.newer == nil && *op.Sequence > w.Sequence {
		a.stale = true
	}
	if *op.Sequence != a.next {
		a.faults.add(faultGap, "wallet %s: sequence %d where %d must be", a.id, *op.Sequence, a.next)
	}
	a.next = *op.Sequence - 1
	if a.newer != nil {
		a.follows(a.newer, *op.BalanceAfter)
	} else if *op.BalanceAfter != w.Balance {
		a.faults.add(faultWallet, "wallet %s: balance %d, but %d after its last operation", a.id, w.Balance, *op.BalanceAfter)
	}
	a.asked(op)
	a.newer = op
}

func (a *audit) count(op *client.Operation) {
	a.history.Operations++
	if op.Status == client.Applied {
		a.history.Applied++
	} else {
		a.history.Failed++
	}
	if op.AppliedAt == nil {
		return
	}
	if a.history.Newest.IsZero() {
		a.history.Newest = *op.AppliedAt
	}
	a.history.Oldest = *op.AppliedAt
}

// finish ends the history: the oldest operation started from nothing, and every
// accepted one was seen.
func (a *audit) finish() {
	if a.next != 0 {
		a.faults.add(faultGap, "wallet %s: the history ends before sequence %d", a.id, a.next)
	}
	if a.newer != nil {
		a.follows(a.newer, 0)
	}
	for _, r := range a.accepted {
		if !r.seen {
			a.faults.add(faultLost, "wallet %s: %s of %d, accepted as operation %s", a.id, r.opType, r.amount, r.operation)
		}
	}
}

// unfinished reports whether waiting may mend what was found: an accepted
// operation is not there yet, or the wallet moved while it was read.
func (a *audit) unfinished() bool {
	return a.waiting > 0 || a.stale || a.faults.Counts[faultLost] > 0
}

func (h *History) add(o History) {
	h.Operations += o.Operations
	h.Applied += o.Applied
	h.Failed += o.Failed
	if h.Oldest.IsZero() || (!o.Oldest.IsZero() && o.Oldest.Before(h.Oldest)) {
		h.Oldest = o.Oldest
	}
	if o.Newest.After(h.Newest) {
		h.Newest = o.Newest
	}
}
