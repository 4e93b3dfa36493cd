package journal

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// hang makes the broker keep requests of a key unanswered from now on, of all keys
// if it is negative. arrived has a token for each; release answers them.
func hang(t *testing.T, c *kfake.Cluster, key int16) (arrived <-chan struct{}, release func()) {
	t.Helper()
	came, open := make(chan struct{}, 1000), make(chan struct{})
	c.ControlKey(key, func(kmsg.Request) (kmsg.Response, error, bool) {
		select {
		case <-open:
			c.DropControl()
			return nil, nil, false
		default:
		}
		c.KeepControl()
		select {
		case came <- struct{}{}:
		default:
		}
		c.SleepControl(func() { <-open })
		return nil, nil, false
	})
	release = sync.OnceFunc(func() { close(open) })
	t.Cleanup(release)
	return came, release
}

// closed closes the journal, and fails if that takes longer than it may.
func closed(t *testing.T, j *Journal) {
	t.Helper()
	began, done := time.Now(), make(chan struct{})
	go func() { j.Close(); close(done) }()
	select {
	case <-done:
		if took, most := time.Since(began), closeTimeout+2*time.Second; took > most {
			t.Errorf("took %s, longer than %s", took, most)
		}
	case <-time.After(patience):
		t.Fatal("never ends")
	}
}

func TestCloseIsBoundedWhenTheBrokerHangs(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	cfg := testConfig(broker.ListenAddrs())
	cfg.AckTimeout = 2 * patience // whoever waits is let go by Close alone
	j := met(t, cfg, &fakeLedger{}, a)
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
		t.Fatal(err)
	}
	p := j.writer.Load().writers[0]
	over(t, p)
	arrived, _ := hang(t, broker, -1)
	flying := begun(t, j, p, operations(deposit(uuid.New(), 2)))
	taken(t, arrived, "the broker hangs")
	closed(t, j)
	if r := ended(t, flying); !errors.Is(r.err, wallet.ErrUnacknowledged) {
		t.Errorf("a write under way: %+v", r)
	}
}

// Meeting the topic is a chain of requests. Wherever it hangs, Close ends it, and
// nothing begins to read afterwards.
func TestCloseIsBoundedWhileTheTopicIsBeingMet(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]kmsg.Key{
		"finding it": kmsg.Metadata, "creating it": kmsg.CreateTopics, "finding the group": kmsg.FindCoordinator,
		"joining the group": kmsg.JoinGroup, "sharing the partitions": kmsg.SyncGroup, "asking for the offsets": kmsg.OffsetFetch,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker, a := embeddedtest.Kfake(t), newApplier(nil)
			arrived, release := hang(t, broker, int16(key))
			j := started(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
			taken(t, arrived, "it hangs")
			closed(t, j)
			release()
			a.mu.Lock()
			defer a.mu.Unlock()
			if len(a.owned) != 0 {
				t.Errorf("owned after the end: %v", a.owned)
			}
		})
	}
}

// A reader that was made while Close was under way would stay in the group, with
// partitions that nobody applies: it is made right after the last answer of the
// broker, so that is when the journal is closed.
func TestCloseAtTheMomentWhenReadingBeginsLeavesNoMemberInTheGroup(t *testing.T) {
	t.Parallel()
	broker, l, kept := embeddedtest.Kfake(t), &fakeLedger{}, &offsets{next: map[int32]int64{}}
	cfg := testConfig(broker.ListenAddrs())
	cfg.SessionTimeout = 2 * patience // what is left is not thrown out by the broker
	met(t, cfg, l, newApplier(kept)).Close()
	asked := make(chan struct{}, 100)
	broker.ControlKey(int16(kmsg.CreateTopics), func(kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		asked <- struct{}{} // for the dead letters' topic, the last thing before reading
		return nil, nil, false
	})
	for i := range 60 {
		j := started(t, cfg, l, newApplier(kept))
		taken(t, asked, "the topic is being met")
		moment := time.Duration(i) * 50 * time.Microsecond
		for began := time.Now(); time.Since(began) < moment; runtime.Gosched() {
		}
		j.Close()
	}
	if info := broker.GroupInfo(cfg.Group); info != nil && len(info.Members) != 0 {
		t.Errorf("%d members are left in the group", len(info.Members))
	}
}
