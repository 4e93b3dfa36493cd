package applier

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// call is what waits for the direct way: a request's operations, or the recovery of
// operations of the wallet that the journal has lost.
type call struct {
	ctx         context.Context // its caller's patience
	wallet      uuid.UUID
	ops         []wallet.Operation
	lost        map[uuid.UUID]bool // of a recovery, which has no ops: ids of unsettled operations
	underWay    *atomic.Int64      // of a recovery: it is counted here while it is under way
	lane        *lane
	lastRefusal error // why it waits to be tried once more; nil: it was not tried yet
	done        chan struct{}
	out         []wallet.Operation
	err         error
}

func (c *call) isRecovery() bool { return c.lost != nil }

// Direct applies operations of one wallet, at least one, straight to the ledger,
// without the journal: in one commit, all of them or none. It returns each as the
// ledger has it: its outcome, or that of an earlier request with the same id.
// Requests of one wallet that wait together share a commit. What this replica had
// acknowledged of the wallet before, and whose outcome is not known, is applied
// first, in order.
//
// ErrUnavailable means that the outcome is unknown: ctx ended during a commit, or that was
// cut off. A *wallet.Error means that nothing was applied; its code is CodeOverloaded if the
// call waited for other wallets' turns until ctx ended.
func (a *Applier) Direct(ctx context.Context, ops ...wallet.Operation) ([]wallet.Operation, error) {
	c := &call{ctx: ctx, wallet: ops[0].WalletID, ops: ops, done: make(chan struct{})}
	if err := a.enqueue(c); err != nil {
		return nil, err
	}
	select {
	case <-c.done:
		return c.out, c.err
	case <-ctx.Done():
	}
	if c.withdraw() {
		return nil, c.untried()
	}
	select {
	case <-c.done:
		return c.out, c.err
	default: // it is being tried
		return nil, fmt.Errorf("%w: %w", wallet.ErrUnavailable, ctx.Err())
	}
}

// withdraw takes the call out of the queue, if it is there.
func (c *call) withdraw() bool {
	c.lane.intakeMu.Lock()
	defer c.lane.intakeMu.Unlock()
	i := slices.Index(c.lane.queue, c)
	if i >= 0 {
		c.lane.queue = slices.Delete(c.lane.queue, i, i+1)
	}
	return i >= 0
}

// untried says of a call that waited in vain that nothing was applied.
func (c *call) untried() error {
	if c.lastRefusal != nil {
		return &wallet.Error{Code: wallet.CodeUnavailable, Fate: wallet.NotApplied, Err: c.lastRefusal,
			Detail: "the wallet's row was held, or written by others, for as long as the request could wait"}
	}
	return &wallet.Error{Code: wallet.CodeOverloaded, Fate: wallet.NotApplied, Detail: "too many wallets wait for their turn in the ledger"}
}

// enqueue hands the call to its lane's goroutine, starting it if none runs.
func (a *Applier) enqueue(c *call) error {
	a.mu.Lock() // Close waits for goroutines that are started before it only
	defer a.mu.Unlock()
	if a.ctx.Err() != nil {
		return &wallet.Error{Code: wallet.CodeUnavailable, Fate: wallet.NotApplied, Detail: "the service stops"}
	}
	begins, err := a.join(c)
	if begins {
		a.direct.Go(func() { a.turns <- struct{}{}; a.drain(c.lane, a.turns) })
	}
	return err
}

// join adds the call to its lane, and reports whether its goroutine is to begin. A recovery
// joins no queue: the next Reconcile has it begin again.
func (a *Applier) join(c *call) (begins bool, err error) {
	ln := a.lanes.lockIntake(c.wallet)
	defer ln.intakeMu.Unlock()
	if ln.overflow.Known() && !a.clearOverflow(ln) {
		return false, &wallet.Error{Code: wallet.CodeUnavailable, Fate: wallet.NotApplied,
			Detail: "too many operations of this wallet wait in the journal, which cannot be read now"}
	}
	begins = !ln.draining
	if c.isRecovery() && !begins {
		return false, nil
	}
	c.lane, ln.draining = ln, true
	ln.queue = append(ln.queue, c)
	return begins, nil
}
