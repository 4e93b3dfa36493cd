package applier

import (
	"context"
	"maps"
	"slices"
)

// AwaitIdle waits until the ledger has what was delivered, by now, of the partitions that
// this replica applies, or ctx ends, and reports whether it has. It is for one caller
// at a time.
func (a *Applier) AwaitIdle(ctx context.Context) bool {
	for left := a.goals(); len(left) > 0; left = slices.DeleteFunc(left, a.isOver) {
		select {
		case <-a.progressed:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// goal is an offset that the ledger has to reach by a worker.
type goal struct {
	worker *worker
	offset int64
}

// goals are what was delivered and is not known to be in the ledger.
func (a *Applier) goals() (goals []goal) {
	a.mu.Lock()
	workers := slices.Collect(maps.Values(a.workers))
	a.mu.Unlock()
	for _, w := range workers {
		if g := (goal{w, w.door.end()}); !a.isOver(g) {
			goals = append(goals, g)
		}
	}
	return goals
}

// isOver reports whether nobody has to wait for the goal: it is reached, or the worker
// is gone, or stopped, which it may be for days.
func (a *Applier) isOver(g goal) bool {
	if g.worker.next.Load() >= g.offset {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p := g.worker.partition
	return a.workers[p] != g.worker || a.stopped[p] != nil
}

// ledgerReached notes that the ledger has a partition up to next.
func (a *Applier) ledgerReached(partition int32, next int64) {
	a.ledgerNext.set(partition, next, a.Now())
	a.signalProgress()
}

// signalProgress has whoever waits for workers look again.
func (a *Applier) signalProgress() {
	select {
	case a.progressed <- struct{}{}:
	default:
	}
}
