package applier

import (
	"sync"
	"time"

	"github.com/walletd/walletd/internal/wallet"
)

// standsAfter is how long a partition's offset stays where it is until the partition counts
// as standing still: far longer than a batch takes.
const standsAfter = 10 * time.Second

// watermarks are the offsets that the ledger is known to have passed, by partition,
// as last heard: one that was heard late is put right by the next look. A journal
// that an operator has accepted anew begins at lower ones.
type watermarks struct {
	mu sync.RWMutex
	at map[int32]watermark
}

type watermark struct {
	next  int64
	since time.Time
}

func (w *watermarks) set(partition int32, next int64, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at == nil {
		w.at = map[int32]watermark{}
	}
	if at, ok := w.at[partition]; !ok || at.next != next {
		w.at[partition] = watermark{next, now}
	}
}

func (w *watermarks) passed(r wallet.Receipt) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return r.Offset < w.at[r.Partition].next
}

// stands reports whether the partition, of which something is to be applied, stands still.
// One that had nothing to do until a moment ago seems to, until it has moved.
func (w *watermarks) stands(partition int32, now time.Time) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	at, ok := w.at[partition]
	return ok && now.Sub(at.since) > standsAfter
}
