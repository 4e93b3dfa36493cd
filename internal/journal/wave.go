package journal

import (
	"sync"
	"time"

	"github.com/walletd/walletd/internal/wallet"
)

const (
	// maxWave is how long a partition whose leader does not answer holds the others up.
	maxWave = 20 * time.Millisecond
	// minWave is enough for the records of one answer, even on a busy machine.
	minWave = 2 * time.Millisecond
)

// wave is the flushes that began together. What is acknowledged of them is delivered
// together too, so that it can be applied in one transaction. It is over when all are
// answered; those that are late are waited for as long as the first took, once more,
// and maxWave in all. What they bring after that is delivered as it lands.
type wave struct {
	deliver func(...wallet.Record) // brings what is acknowledged; it does not wait
	began   time.Time
	over    chan struct{} // closed when nobody has to wait for it any more

	mu      sync.Mutex
	flushes int             // under way
	acked   []wallet.Record // to be delivered
	ended   bool            // over: what lands is delivered at once
	late    *time.Timer     // until it is given up
}

func newWave(deliver func(...wallet.Record)) *wave {
	v := &wave{deliver: deliver, began: time.Now(), over: make(chan struct{})}
	v.mu.Lock() // giveUp may come before this has ended
	defer v.mu.Unlock()
	v.late = time.AfterFunc(maxWave, v.giveUp)
	return v
}

// join is for a flush that begins.
func (v *wave) join() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.flushes++
}

// landed takes what was acknowledged of a flush, which ends with it.
func (v *wave) landed(acked []wallet.Record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	first := v.acked == nil
	v.acked = append(v.acked, acked...)
	switch v.flushes--; {
	case v.flushes == 0 || v.ended:
		v.end()
	case first && v.acked != nil:
		took := time.Since(v.began)
		v.late.Reset(min(max(took, minWave), maxWave-took))
	}
}

// giveUp waits no longer for the flushes that are under way.
func (v *wave) giveUp() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.end()
}

// end delivers what has landed; mu is held.
func (v *wave) end() {
	if len(v.acked) > 0 {
		v.deliver(v.acked...)
		v.acked = nil
	}
	if !v.ended {
		v.ended = true
		v.late.Stop()
		close(v.over)
	}
}
