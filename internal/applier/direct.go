package applier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// call is a request's operations that wait for the direct way; or, without any, what the
// journal has lost.
type call struct {
	ctx    context.Context // its caller's patience
	wallet uuid.UUID
	ops    []wallet.Operation
	lost   map[uuid.UUID]bool // ids of what is unsettled
	lane   *lane
	again  error // why it waits to be tried once more; nil: it was not tried yet
	done   chan struct{}
	out    []wallet.Operation
	err    error
}

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
	if c.again != nil {
		return &wallet.Error{Code: wallet.CodeUnavailable, Fate: wallet.NotApplied, Err: c.again,
			Detail: "the wallet's row was held, or written by others, for as long as the request could wait"}
	}
	return &wallet.Error{Code: wallet.CodeOverloaded, Fate: wallet.NotApplied, Detail: "too many wallets wait for their turn in the ledger"}
}

// enqueue hands the call to its lane's goroutine, starting it if none runs.
func (a *Applier) enqueue(c *call) error {
	a.mu.Lock() // Close waits for goroutines that are started before it only
	defer a.mu.Unlock()
	if a.closed {
		return &wallet.Error{Code: wallet.CodeUnavailable, Fate: wallet.NotApplied, Detail: "the service stops"}
	}
	ln := a.lanes.lockIntake(c.wallet)
	defer ln.intakeMu.Unlock()
	if ln.overflow.Known() && !a.clearOverflow(ln) {
		return &wallet.Error{Code: wallet.CodeUnavailable, Fate: wallet.NotApplied,
			Detail: "too many operations of this wallet wait in the journal, which cannot be read now"}
	}
	if len(c.ops) == 0 && ln.draining {
		return nil // the next look asks for it again
	}
	c.lane = ln
	ln.queue = append(ln.queue, c)
	if !ln.draining {
		ln.draining = true
		a.direct.Go(func() { a.drain(c.wallet, ln) })
	}
	return nil
}

// drain serves a lane's queue until it is empty. What arrives while a commit is
// under way forms the next batch. Between batches the lane is free: somebody else's
// lock on the row must not keep the partition's worker from setting the wallet aside.
// And it pauses: another replica has to read before it can write, and would never
// come before this one's next commit.
func (a *Applier) drain(id uuid.UUID, ln *lane) {
	turns := a.turns
	for {
		took, held, ok := a.drainBatch(id, ln, turns)
		if !ok {
			return
		}
		turns = a.turns
		if held {
			turns = a.heldTurns
		}
		time.Sleep(a.Limits.yieldPause(took))
	}
}

// drainBatch serves a batch when its turn comes, and returns how long that took and whether
// the wallet's row was held; false if there was nothing in the queue. Wallets wait here for
// each other, for as long as their callers do, and not for a connection to the ledger: that
// is part of a commit's time, and the workers need theirs.
func (a *Applier) drainBatch(id uuid.UUID, ln *lane, turns chan struct{}) (took time.Duration, held, ok bool) {
	turns <- struct{}{}
	began := a.Now()
	ln.mu.Lock()
	calls, earlier, ok := ln.next(a.Limits.BatchOperations)
	var c wallet.Committed
	if ok {
		c = a.applyCalls(id, ln, earlier, calls)
	}
	ln.mu.Unlock()
	<-turns
	took = a.Now().Sub(began)
	if ok {
		held = a.answer(ln, c, calls)
	}
	return took, held, ok
}

// next takes calls from the queue, of at most as many operations but at least one
// call, and what has to be applied before them. Calls whose caller has gone are not
// tried. It is false, and the goroutine has to end, when there is nothing more.
func (ln *lane) next(most int) (calls []*call, earlier []unsettled, ok bool) {
	ln.intakeMu.Lock()
	defer ln.intakeMu.Unlock()
	for n := 0; len(ln.queue) > 0 && (n == 0 || n+len(ln.queue[0].ops) <= most); {
		c := ln.queue[0]
		ln.queue = ln.queue[1:]
		if c.ctx.Err() != nil {
			c.err = c.untried()
			close(c.done)
			continue
		}
		n += len(c.ops)
		calls = append(calls, c)
	}
	if len(calls) == 0 {
		ln.queue, ln.draining = nil, false
		return nil, nil, false
	}
	return calls, ln.before(calls), true
}

// before returns what is applied before the calls, in order: all that is unsettled, for
// they must not pass it; but if they are of what is lost, only that: the journal has the
// rest, and between it what other replicas have accepted. intakeMu is held.
func (ln *lane) before(calls []*call) []unsettled {
	earlier := slices.Clone(ln.unsettled)
	if slices.ContainsFunc(calls, func(c *call) bool { return len(c.ops) > 0 }) {
		return earlier
	}
	return slices.DeleteFunc(earlier, func(u unsettled) bool {
		return !slices.ContainsFunc(calls, func(c *call) bool { return c.lost[u.ID] })
	})
}

// answer announces the commit, if there was one, and then lets the callers go;
// those that met a locked row, or another's commit each time, try again for as long
// as they wait, but for what is lost, which the next look asks for again. It returns
// whether the row was held.
func (a *Applier) answer(ln *lane, c wallet.Committed, calls []*call) (held bool) {
	if len(c.Results) > 0 {
		a.announce(c)
	}
	var again []*call
	for _, call := range calls {
		if len(call.ops) == 0 && call.err != nil {
			a.Log.Warn("what the journal has lost is not applied yet", "wallet", call.wallet, "error", call.err)
		}
		locked := errors.Is(call.err, wallet.ErrLocked)
		if len(call.ops) > 0 && (locked || errors.Is(call.err, wallet.ErrConflict)) {
			held = held || locked
			call.again, call.err = call.err, nil
			again = append(again, call)
			continue
		}
		close(call.done)
	}
	if len(again) > 0 {
		ln.intakeMu.Lock()
		ln.queue = append(again, ln.queue...)
		ln.intakeMu.Unlock()
	}
	return held
}

// applyCalls commits earlier operations and calls: in batches of their own what is too
// much for one, and the rest and the calls as one. If SQL refuses that, one call after the
// other, so that only the offender fails.
func (a *Applier) applyCalls(id uuid.UUID, ln *lane, earlier []unsettled, calls []*call) wallet.Committed {
	n, most := len(earlier), a.Limits.BatchOperations
	for _, c := range calls {
		n += len(c.ops)
	}
	if n == 0 { // what was to be applied is settled by now
		return wallet.Committed{Partition: wallet.NoPartition}
	}
	if piece := min(len(earlier), most); piece > 0 && n > most {
		b, err := a.commitDirect(id, ln, earlier[:piece], nil)
		if err != nil {
			return ln.fail(calls, err)
		}
		b.advance()
		return b.announcement().And(a.applyCalls(id, ln, earlier[piece:], calls))
	}
	b, err := a.commitDirect(id, ln, earlier, calls)
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
			all = all.And(a.applyCalls(id, ln, earlier, calls[i:i+1]))
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
func (a *Applier) commitDirect(id uuid.UUID, ln *lane, earlier []unsettled, calls []*call) (*batch, error) {
	ctx := context.Background()
	records := directRecords(id, earlier, calls)
	var again reread
	for try := 1; ; try++ {
		b := newBatch(a.now(), records, map[uuid.UUID]*lane{id: ln}, wallet.Direct, a.Limits)
		_, _, err := b.load(ctx, a.Ledger, records, again)
		if err == nil {
			b.compute(records)
			err = a.Ledger.Commit(ctx, b.finish())
		}
		final := err == nil || dropsBatch(err) || errors.Is(err, wallet.ErrRefused) || errors.Is(err, wallet.ErrLocked)
		if final || try == a.Limits.DirectTries {
			a.metrics.direct(err)
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
		records = append(records, wallet.Record{Kind: u.kind, WalletID: id, Operations: []wallet.Operation{u.Operation}, Receipt: u.Receipt})
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
