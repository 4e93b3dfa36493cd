package applier

import (
	"sync"
	"time"

	"github.com/walletd/walletd/internal/wallet"
)

// stalledAfter is how long a partition's offset may stay where it is before the partition
// counts as stalled: far longer than a batch takes.
const stalledAfter = 10 * time.Second

// watermarks are the ledger's next offsets by partition, as last heard: one that arrived
// late is corrected by the next Reconcile. They go back when an operator has accepted
// another journal.
type watermarks struct {
	mu sync.RWMutex
	at map[int32]watermark
}

type watermark struct {
	next    int64
	since   time.Time
	backlog int64 // offset after the last record that was seen behind a stalled next
}

func (w *watermarks) set(partition int32, next int64, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at == nil {
		w.at = map[int32]watermark{}
	}
	at, ok := w.at[partition]
	if !ok || at.next != next {
		w.at[partition] = watermark{next: next, since: now, backlog: at.backlog}
	}
}

// forgetBacklogs is for offsets of another journal.
func (w *watermarks) forgetBacklogs() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, at := range w.at {
		at.backlog = 0
		w.at[p] = at
	}
}

func (w *watermarks) passed(r wallet.Receipt) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return r.Offset < w.at[r.Partition].next
}

// stalled reports whether an unapplied record waits behind an offset that has not moved for
// stalledAfter, or was part of such a backlog: once the offset moves, that is applied faster
// than it came. A partition that was idle looks stalled until its next batch.
func (w *watermarks) stalled(r wallet.Receipt, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.at[r.Partition]
	if ok && now.Sub(at.since) > stalledAfter && r.Offset >= at.backlog {
		at.backlog = r.Offset + 1
		w.at[r.Partition] = at
	}
	return ok && r.Offset < at.backlog
}
