package journal

import (
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// crossing is an applier whose worker takes everything between Fetched's answer
// and what the reader does with it.
type crossing struct {
	*fakeApplier
	resume func(partition int32)
	asked  atomic.Int32 // once more, after the pause
}

func (a *crossing) Fetched(p int32, records []wallet.Record) bool {
	a.fakeApplier.Fetched(p, records)
	a.resume(p) // before the reader has paused
	return false
}

func (a *crossing) MayFetch(int32) bool {
	a.asked.Add(1)
	return true // there is room by now
}

func TestAResumeThatOvertakesThePauseIsNotLost(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), &crossing{fakeApplier: newApplier(nil)}
	j, err := Open(testConfig(broker.ListenAddrs()))
	if err != nil {
		t.Fatal(err)
	}
	a.resume = j.Resume
	j.Start(&fakeLedger{}, a)
	t.Cleanup(j.Close)
	for n := range 10 {
		if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
			t.Fatal(err)
		}
		a.until(t, "the partition is read on", func() bool { return len(a.fetched) == n+1 })
	}
	if a.asked.Load() == 0 {
		t.Error("the applier was not asked again after a pause")
	}
}
