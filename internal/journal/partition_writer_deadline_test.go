package journal

import (
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
)

// over waits until the partition writer's flush has ended: its writers are told before.
func over(t *testing.T, p *partitionWriter) {
	t.Helper()
	eventually(t, "the flush is over", func() bool { return p.size() == 0 })
}

// The timer may have fired when the broker answers, and come to the partition writer only when
// the next flush is under way: that one has its own time.
func TestATimerThatComesDuringTheNextFlushLeavesItAlone(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	p := j.writer.Load().writers[0]
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
		t.Fatal(err)
	}
	over(t, p)
	arrived, release := hold(broker)
	t.Cleanup(release)
	flying := begun(t, j, p, operations(deposit(uuid.New(), 2)))
	taken(t, arrived, "the next flush is under way")
	waiting := begun(t, j, p, operations(deposit(uuid.New(), 3)))
	p.overdue(0)
	if err := p.available(); err != nil || p.size() != 2 {
		t.Errorf("%v, %d of 2 still wait", err, p.size())
	}
	release()
	for i, done := range []<-chan result{flying, waiting} {
		if r := ended(t, done); r.err != nil || r.receipt.Offset != int64(i+1) {
			t.Errorf("write %d: %+v", i, r)
		}
	}
}
