package journal

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// Among own records another replica's is delivered by the first poll after it was seen,
// and not a rest later, with what comes after what was fetched before. (That seeing it
// ends a rest is TestARestIsShortAndEndsAtOnceWhenAGapShows's.)
func TestAnothersRecordAmongOwnOnesIsDeliveredAtOnce(t *testing.T) {
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() { // own records all the time, so that the reader rests
		for n := wallet.Amount(1); ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				_, _ = j.put(deposit(uuid.New(), n))
			}
		}
	})
	defer func() { close(stop); writing.Wait() }()
	other, took := client(t, j.config.Brokers), make([]time.Duration, 11)
	for i := range took {
		<-time.After(8 * maxRest) // its rests have become long again
		rec := operations(deposit(uuid.New(), 9_000_000))
		rec.Replica = uuid.New()
		r := Encode(&rec)
		r.Topic = j.config.Topic
		if err := other.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		acknowledged := time.Now()
		a.until(t, "the other's record", func() bool {
			return slices.ContainsFunc(a.fetched, func(f wallet.Record) bool { return f.Operations[0].ID == rec.Operations[0].ID })
		})
		took[i] = time.Since(acknowledged)
	}
	slices.Sort(took) // not all: a machine that others use too holds some up
	if quick := took[2]; quick > maxRest/2 {
		t.Errorf("it took %v and more but twice, a rest is %v", quick, maxRest)
	}
}
