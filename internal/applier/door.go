package applier

import (
	"context"
	"sync"

	"github.com/walletd/walletd/internal/wallet"
)

// door is the one way by which records reach a worker, whether they were fetched
// or are the replica's own and were just acknowledged: the next offset is taken, a
// lower one was taken before and is dropped, a gap waits for the fetch.
type door struct {
	mu            sync.Mutex
	next          int64
	queue         []wallet.Record
	held          int           // operations in queue
	maxOperations int           // in queue; beyond it the fetch pauses
	shut          bool          // the fetch was told to pause
	ready         chan struct{} // holds one token while queue is not empty
}

func newDoor(next int64, maxOperations int) *door {
	return &door{next: next, maxOperations: maxOperations, ready: make(chan struct{}, 1)}
}

// fetched takes what the reader brings. The reader begins at or before next and
// omits nothing, so an offset beyond next means that no record has the offsets
// between (a transaction marker of a foreign producer has one). It reports
// whether the reader may go on.
func (d *door) fetched(records []wallet.Record) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range records {
		if r.Receipt.Offset >= d.next {
			d.push(r)
			d.signal()
		}
	}
	return d.room()
}

// mayFetch is asked by a reader that has paused: there may have been room before it had.
func (d *door) mayFetch() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.room()
}

// room reports whether the reader may go on. If not, take has it resume. mu is held.
func (d *door) room() bool {
	if d.held >= d.maxOperations {
		d.shut = true
	}
	return !d.shut
}

// acknowledged takes those of the replica's own records that are the next ones and
// find room; otherwise the fetch will bring them. If the queue was empty it returns how many
// operations it has now, and the caller signals the worker; else 0, for that is done.
func (d *door) acknowledged(records ...wallet.Record) (operations int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	told := len(d.queue) > 0
	for _, r := range records {
		if r.Receipt.Offset == d.next && d.held < d.maxOperations {
			d.push(r)
		}
	}
	if told {
		return 0
	}
	return d.held
}

func (d *door) push(r wallet.Record) {
	d.queue = append(d.queue, r)
	d.held += weight(r)
	d.next = r.Receipt.Offset + 1
}

func (d *door) signal() {
	select {
	case d.ready <- struct{}{}:
	default:
	}
}

// end is the offset after what was taken in.
func (d *door) end() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.next
}

// take waits for records and returns what has arrived, up to the given number of
// operations but at least one record. resume says that the fetch was paused and
// may go on. ok is false when ctx has ended, whatever has arrived.
func (d *door) take(ctx context.Context, operations int) (records []wallet.Record, resume, ok bool) {
	select {
	case <-d.ready:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return nil, false, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n, weighed := 0, 0
	for n < len(d.queue) && (n == 0 || weighed+weight(d.queue[n]) <= operations) {
		weighed += weight(d.queue[n])
		n++
	}
	records = d.queue[:n:n]
	d.held -= weighed
	if d.queue = d.queue[n:]; len(d.queue) == 0 {
		d.queue = nil
	} else {
		d.signal()
	}
	if d.shut && d.held < d.maxOperations/2 {
		d.shut, resume = false, true
	}
	return records, resume, true
}
