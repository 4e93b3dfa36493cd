package applier_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/applier/simtest"
)

// turnWithin is less than a client waits.
const turnWithin = 3 * time.Second

// A replica that has to read before each try is slower than one that knows what it
// wrote last and never stops writing. It gets its turn all the same.
func TestOnTheDirectWayABusyReplicaLetsAnotherHaveItsTurn(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 1)
	id := w.created()
	far := func(way time.Duration) func(*replica, *applier.Config) {
		return withFaults(func(simtest.Call) simtest.Fault {
			time.Sleep(way) // to the ledger
			return simtest.None
		})
	}
	busy, other := w.replica(far(2*time.Millisecond)), w.replica(far(12*time.Millisecond))
	ctx, stop := context.WithCancel(context.Background())
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			for ctx.Err() == nil {
				busy.mustDirect(deposit(id, 1))
			}
		})
	}
	for range 10 {
		within, cancel := context.WithTimeout(context.Background(), turnWithin)
		if _, err := other.tryDirect(within, deposit(id, 1)); err != nil {
			t.Errorf("no turn within %s: %v", turnWithin, err)
		}
		cancel()
	}
	stop()
	calls.Wait()
}
