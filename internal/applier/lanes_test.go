package applier_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/wallet"
)

// watched is a ledger that notes which wallets are being committed at one moment.
type watched struct {
	applier.Ledger
	mu       sync.Mutex
	busy     map[uuid.UUID]bool
	most     int // commits at one moment
	now      int
	faults   []string
	together chan struct{} // closed once two commits were under way at one moment
}

func (l *watched) Commit(ctx context.Context, b *wallet.Batch) error {
	l.enter(b)
	defer l.leave(b)
	return l.Ledger.Commit(ctx, b)
}

func (l *watched) enter(b *wallet.Batch) {
	l.mu.Lock()
	for _, c := range b.Changes {
		if l.busy[c.ID] {
			l.faults = append(l.faults, fmt.Sprintf("wallet %s is in two commits at once", c.ID))
		}
		l.busy[c.ID] = true
	}
	if l.now++; l.now == 2 && l.most < 2 {
		close(l.together)
	}
	l.most = max(l.most, l.now)
	l.mu.Unlock()
	if len(b.Changes) > 0 {
		l.linger()
	}
}

// linger waits for another wallet's commit to come beside this one, the first times.
func (l *watched) linger() {
	timer := time.NewTimer(5 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-l.together:
	case <-timer.C:
	}
}

func (l *watched) leave(b *wallet.Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range b.Changes {
		delete(l.busy, c.ID)
	}
	l.now--
}

// One wallet in sequence, different wallets concurrently: by the journal and by
// the direct way together.
func TestOneWalletIsNeverInTwoCommitsAndDifferentOnesAre(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 4)
	spy := &watched{Ledger: w.ledger, busy: map[uuid.UUID]bool{}, together: make(chan struct{})}
	ids := make([]uuid.UUID, 6)
	for i := range ids {
		ids[i] = w.created()
	}
	r := w.owning(func(_ *replica, c *applier.Config) { c.Ledger, c.Limits.Lanes = spy, 3 })
	var calls sync.WaitGroup
	for i := range 120 {
		op := deposit(ids[i%len(ids)], 1)
		if i%3 == 0 {
			calls.Go(func() { r.mustDirect(op) })
		} else if _, err := r.journal.Write(op); err != nil {
			t.Fatal(err)
		}
	}
	calls.Wait()
	b := w.settle()
	for _, fault := range spy.faults {
		t.Error(fault)
	}
	if spy.most < 2 {
		t.Error("different wallets waited for each other")
	}
	for _, id := range ids {
		if b.Wallets[id] != (wallet.State{Balance: 20, Sequence: 20}) {
			t.Errorf("%+v", b.Wallets[id])
		}
	}
}
