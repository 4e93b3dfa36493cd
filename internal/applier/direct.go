package applier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

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
	under       *atomic.Int64      // of a recovery: it is counted here while it is under way
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
	begins, err := a.queue(c)
	if begins {
		a.direct.Go(func() { a.turns <- struct{}{}; a.drain(c.lane, a.turns) })
	}
	return err
}

// queue adds the call to its lane, and reports whether its goroutine is to begin. A recovery
// joins no queue: the next Reconcile has it begin again.
func (a *Applier) queue(c *call) (begins bool, err error) {
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

// enqueueRecovery has a recovery wait for its turn before it is in the queue: clients of the
// wallet do not wait with it. A wallet has one under way: each Reconcile asks again.
func (a *Applier) enqueueRecovery(c *call, turns chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ln := a.lanes.lockIntake(c.wallet) // so that it is not retired at this moment
	defer ln.intakeMu.Unlock()
	if a.ctx.Err() != nil || !ln.recovering.CompareAndSwap(false, true) {
		return
	}
	c.lane = ln
	c.under.Add(1)
	a.direct.Go(func() { a.recoverIn(turns, c) })
}

func (c *call) endRecovery() {
	c.under.Add(-1)
	c.lane.recovering.Store(false)
}

func (a *Applier) recoverIn(turns chan struct{}, c *call) {
	select {
	case turns <- struct{}{}:
	case <-a.ctx.Done():
		c.endRecovery()
		return
	}
	begins, err := a.queue(c)
	if begins {
		a.drain(c.lane, turns)
		return
	}
	<-turns
	c.endRecovery()
	if err != nil {
		a.Log.Warn("lost operations wait for the next look", "wallet", c.wallet, "error", err)
	}
}

// drain serves a lane's queue until it is empty. What arrives while a commit is
// under way forms the next batch. Between batches the lane is free: somebody else's
// lock on the row must not keep the partition's worker from setting the wallet aside.
// And it pauses: another replica has to read before it can write, and would never
// come before this one's next commit.
//
// Each batch has a turn, of which the caller has taken the first. Wallets wait here for
// each other, for as long as their callers do, and not for a connection to the ledger: that is
// part of a commit's time, and the workers need theirs. Those whose row was held when they
// were last tried have few turns.
func (a *Applier) drain(ln *lane, turns chan struct{}) {
	for {
		b := a.drainBatch(ln)
		<-turns
		if len(b.calls) == 0 {
			return
		}
		if len(b.committed.Results) > 0 {
			a.announce(b.committed)
		}
		again := a.answer(b.calls)
		turns = a.turns
		if slices.ContainsFunc(again, func(c *call) bool { return errors.Is(c.lastRefusal, wallet.ErrLocked) }) {
			turns = a.heldTurns
		}
		ln.putBack(again) // they are the queue's from here on
		time.Sleep(a.Limits.yieldPause(b.took))
		turns <- struct{}{}
	}
}

// drained is what was done in a lane's turn.
type drained struct {
	calls     []*call
	committed wallet.Committed
	took      time.Duration
}

// drainBatch serves a batch; there are no calls if nothing was in the queue.
func (a *Applier) drainBatch(ln *lane) (b drained) {
	began := a.Now()
	ln.mu.Lock()
	defer ln.mu.Unlock()
	var earlier []unsettled
	if b.calls, earlier = a.next(ln); len(b.calls) > 0 {
		b.committed = a.applyCalls(ln, earlier, b.calls)
	}
	b.took = a.Now().Sub(began)
	return b
}

// next takes calls from the lane's queue, of no more operations than a batch may have but at
// least one call, and what has to be applied before them. Calls whose caller has gone are not
// tried. Without any left the goroutine has to end.
func (a *Applier) next(ln *lane) (calls []*call, earlier []unsettled) {
	ln.intakeMu.Lock()
	defer ln.intakeMu.Unlock()
	for n := 0; len(ln.queue) > 0 && (n == 0 || n+len(ln.queue[0].ops) <= a.Limits.BatchOperations); {
		c := ln.queue[0]
		ln.queue = ln.queue[1:]
		if c.ctx.Err() != nil {
			c.err = c.untried()
			a.end(c)
			continue
		}
		n += len(c.ops)
		calls = append(calls, c)
	}
	if len(calls) == 0 {
		ln.queue, ln.draining = nil, false
		return nil, nil
	}
	return calls, slices.Clone(ln.before(calls))
}

// before returns the unsettled operations that are applied ahead of the calls, in order. A
// client's operation must not pass any of them. A recovery ends with the last operation that
// is lost: those before it are lost too, or on a list, and must not be passed; those after it
// have their place in the journal, where other replicas' operations are between them.
// intakeMu is held.
func (ln *lane) before(calls []*call) []unsettled {
	n := len(ln.unsettled)
	if !slices.ContainsFunc(calls, func(c *call) bool { return !c.isRecovery() }) {
		isLost := func(id uuid.UUID) bool { return slices.ContainsFunc(calls, func(c *call) bool { return c.lost[id] }) }
		for n > 0 && !isLost(ln.unsettled[n-1].ID) {
			n--
		}
	}
	return ln.unsettled[:n]
}

// answer lets the callers go. It returns the calls that met a locked row, or another's
// commit each time: they are tried again for as long as their callers wait. A recovery is
// not: the next Reconcile asks for what it has left.
func (a *Applier) answer(calls []*call) (again []*call) {
	for _, c := range calls {
		if !c.isRecovery() && (errors.Is(c.err, wallet.ErrLocked) || errors.Is(c.err, wallet.ErrConflict)) {
			c.lastRefusal, c.err = c.err, nil
			again = append(again, c)
			continue
		}
		a.end(c)
	}
	return again
}

// end lets the caller go.
func (a *Applier) end(c *call) {
	close(c.done)
	if !c.isRecovery() {
		return
	}
	c.endRecovery()
	switch {
	case c.err == nil:
		a.lanes.recovered.Add(int64(len(c.lost)))
	case a.ctx.Err() == nil:
		a.Log.Warn("lost operations are not applied yet", "wallet", c.wallet, "error", c.err)
	}
}

// putBack puts calls back to the front of the queue.
func (ln *lane) putBack(calls []*call) {
	if len(calls) == 0 {
		return
	}
	ln.intakeMu.Lock()
	defer ln.intakeMu.Unlock()
	ln.queue = append(calls, ln.queue...)
}

// applyCalls commits earlier operations and calls: in batches of their own what is too
// much for one, and the rest and the calls as one. If SQL refuses that, one call after the
// other, so that only the offender fails.
func (a *Applier) applyCalls(ln *lane, earlier []unsettled, calls []*call) wallet.Committed {
	n, most := len(earlier), a.Limits.BatchOperations
	for _, c := range calls {
		n += len(c.ops)
	}
	if n == 0 { // what was to be applied is settled by now
		return wallet.Committed{Partition: wallet.NoPartition}
	}
	if piece := min(len(earlier), most); piece > 0 && n > most {
		b, err := a.commitDirect(ln, earlier[:piece], nil)
		if err != nil {
			return ln.fail(calls, err)
		}
		b.advance()
		return b.announcement().And(a.applyCalls(ln, earlier[piece:], calls))
	}
	b, err := a.commitDirect(ln, earlier, calls)
	if err == nil {
		b.advance()
		for _, c := range calls {
			c.out = b.outcomes(c.ops)
		}
		return b.announcement()
	}
	if errors.Is(err, wallet.ErrRefused) && len(calls) > 1 {
		ln.cached = false
		all := wallet.Committed{Partition: wallet.NoPartition}
		for i := range calls {
			all = all.And(a.applyCalls(ln, earlier, calls[i:i+1]))
		}
		return all
	}
	return ln.fail(calls, err)
}

// fail tells the calls why nothing of them was committed, or that it is not known.
func (ln *lane) fail(calls []*call, err error) wallet.Committed {
	ln.cached = false
	for _, c := range calls {
		c.err = err
	}
	return wallet.Committed{Partition: wallet.NoPartition}
}

// outcomes returns what was decided of the operations.
func (b *batch) outcomes(ops []wallet.Operation) []wallet.Operation {
	out := make([]wallet.Operation, len(ops))
	for i := range ops {
		out[i] = *b.decided[ops[i].Key()]
	}
	return out
}

// commitDirect tries until the ledger has decided. Conflicts are expected: other
// replicas apply directly too. The tries are bounded.
func (a *Applier) commitDirect(ln *lane, earlier []unsettled, calls []*call) (*batch, error) {
	ctx := context.Background()
	records := directRecords(ln.wallet, earlier, calls)
	var again reread
	for try := 1; ; try++ {
		b := newBatch(a.rowTime(), records, map[uuid.UUID]*lane{ln.wallet: ln}, wallet.Direct, a.Limits)
		_, _, err := b.load(ctx, a.Ledger, again)
		if err == nil {
			err = a.Ledger.Commit(ctx, b.compute())
		}
		final := err == nil || dropsBatch(err) || errors.Is(err, wallet.ErrRefused) || errors.Is(err, wallet.ErrLocked)
		if final || try == a.Limits.DirectTries {
			a.metrics.direct(b, err)
			return b, err
		}
		again = reread{ids: true, versions: true}
	}
}

// directRecords puts the earlier operations and the calls into the form in which
// a batch takes them.
func directRecords(id uuid.UUID, earlier []unsettled, calls []*call) []wallet.Record {
	records := make([]wallet.Record, 0, len(earlier)+1)
	for _, u := range earlier {
		kind := wallet.KindOperations
		if u.IsCreation() {
			kind = wallet.KindCreate
		}
		records = append(records, wallet.Record{Kind: kind, WalletID: id, Operations: []wallet.Operation{u.Operation}, Receipt: u.Receipt})
	}
	last := wallet.Record{Kind: wallet.KindOperations, WalletID: id, Receipt: wallet.NoReceipt}
	for _, c := range calls {
		last.Operations = append(last.Operations, c.ops...)
	}
	if len(last.Operations) == 0 {
		return records
	}
	return append(records, last)
}
