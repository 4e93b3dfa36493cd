package applier

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

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
	if b.calls, earlier = a.takeCalls(ln); len(b.calls) > 0 {
		b.committed = a.applyCalls(ln, earlier, b.calls)
	}
	b.took = a.Now().Sub(began)
	return b
}

// takeCalls takes calls from the lane's queue, of no more operations than a batch may have but at
// least one call, and what has to be applied before them. Calls whose caller has gone are not
// tried. Without any left the goroutine has to end.
func (a *Applier) takeCalls(ln *lane) (calls []*call, earlier []unsettled) {
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
	return calls, slices.Clone(ln.ahead(calls))
}

// ahead returns the unsettled operations that are applied ahead of the calls, in order. A
// client's operation must not pass any of them. A recovery ends with the last operation that
// is lost: those before it are lost too, or on a list, and must not be passed; those after it
// have their place in the journal, where other replicas' operations are between them.
// intakeMu is held.
func (ln *lane) ahead(calls []*call) []unsettled {
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
