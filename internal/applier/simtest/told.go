package simtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/walletd/walletd/internal/wallet"
)

// Told records what an applier announces. It implements applier.Announcer. Safe
// for concurrent use.
type Told struct {
	mu       sync.Mutex
	commits  []wallet.Committed
	outcomes map[wallet.Key]wallet.Operation
	changed  chan struct{} // closed by the next announcement
	faults   []string
	next     map[int32]int64
}

// NewTold returns one that was told nothing.
func NewTold() *Told {
	return &Told{outcomes: map[wallet.Key]wallet.Operation{}, changed: make(chan struct{}), next: map[int32]int64{}}
}

// Announce implements applier.Announcer.
func (t *Told) Announce(_ context.Context, c wallet.Committed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.commits = append(t.commits, c)
	if c.Partition >= 0 {
		if c.Next <= t.next[c.Partition] {
			t.faults = append(t.faults, fmt.Sprintf("partition %d: offset %d announced after %d", c.Partition, c.Next, t.next[c.Partition]))
		}
		t.next[c.Partition] = c.Next
	}
	for _, r := range c.Results {
		if was, ok := t.outcomes[r.Key()]; ok && !same(was, r.Operation) {
			t.faults = append(t.faults, fmt.Sprintf("operation %s: told %+v, then %+v", r.ID, was, r.Operation))
		}
		t.outcomes[r.Key()] = r.Operation
	}
	close(t.changed)
	t.changed = make(chan struct{})
}

// Outcome returns what was told of an operation, and a channel that is closed by
// the next announcement.
func (t *Told) Outcome(k wallet.Key) (op wallet.Operation, ok bool, changed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	op, ok = t.outcomes[k]
	return op, ok, t.changed
}

// Outcomes returns everything that was told.
func (t *Told) Outcomes() map[wallet.Key]wallet.Operation {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.outcomes)
}

// Commits returns all announcements, in the order in which they were made.
func (t *Told) Commits() []wallet.Committed {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.commits)
}

// Faults returns what contradicts itself among the announcements.
func (t *Told) Faults() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.faults)
}
