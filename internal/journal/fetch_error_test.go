package journal

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// counting is an applier that counts how often partitions are halted.
type counting struct {
	*fakeApplier
	halts atomic.Int32
}

func (a *counting) Halt(p int32, err error) {
	a.halts.Add(1)
	a.fakeApplier.Halt(p, err)
}

// reading is a journal of an applier that is more than a fakeApplier, until the
// test ends.
func reading(t *testing.T, cfg Config, l *fakeLedger, a Applier) *Journal {
	t.Helper()
	j, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	j.Start(l, a)
	t.Cleanup(j.Close)
	return j
}

// inPartition is a new wallet of the partition.
func inPartition(p, partitions int32) uuid.UUID {
	for {
		if id := uuid.New(); PartitionAmong(id, partitions) == p {
			return id
		}
	}
}

// observed counts the fetches of a topic.
func observed(broker *kfake.Cluster, topic string) *kfake.FaultHandle {
	return broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Observe: true, Count: -1})
}

// The client asks again at once for what it did not get: a partition that is
// halted has to be left alone, and the others are read on.
func TestAPartitionOutOfRangeIsHaltedOnceAndTheOthersAreRead(t *testing.T) {
	t.Parallel()
	broker := embeddedtest.Kfake(t)
	a := &counting{fakeApplier: newApplier(&offsets{next: map[int32]int64{0: 1000}})}
	cfg := testConfig(broker.ListenAddrs())
	cfg.Partitions = 2
	j := reading(t, cfg, &fakeLedger{}, a)
	a.until(t, "halted", func() bool { return a.halted[0] != nil })
	if !errors.Is(a.halted[0], kerr.OffsetOutOfRange) {
		t.Errorf("halted with %v", a.halted[0])
	}
	id, n := inPartition(1, 2), 0
	for began := time.Now(); n < 20 || time.Since(began) < 2*fetchAgain; n++ {
		if _, err := j.put(deposit(id, 1)); err != nil {
			t.Fatal(err)
		}
		a.until(t, "the other partition is read", func() bool { return len(a.fetched) == n+1 })
	}
	if got := a.halts.Load(); got != 1 {
		t.Errorf("halted %d times while the other partition was read %d times", got, n)
	}
}

func TestAPartitionOfATopicMadeAnewIsHaltedOnce(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), &counting{fakeApplier: newApplier(nil)}
	cfg := testConfig(broker.ListenAddrs())
	j := reading(t, cfg, &fakeLedger{}, a)
	a.until(t, "assigned", func() bool { return a.owned[0] })
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
		t.Fatal(err)
	}
	a.until(t, "read", func() bool { return len(a.fetched) == 1 })
	if err := errors.Join(broker.DeleteTopic(cfg.Topic), broker.CreateTopic(cfg.Topic, 1, nil)); err != nil {
		t.Fatal(err)
	}
	a.until(t, "halted", func() bool { return a.halted[0] != nil })
	fetches := observed(broker, cfg.Topic)
	<-time.After(2 * fetchAgain)
	if got := a.halts.Load(); got != 1 {
		t.Errorf("halted %d times", got)
	}
	if got := fetches.Hits(); got > 10 {
		t.Errorf("%d fetches of a partition that is halted", got)
	}
}

// Whatever else a fetch fails with may pass: it is tried again, after a pause.
func TestAFetchErrorPausesThePartitionAndItIsReadOn(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), &counting{fakeApplier: newApplier(nil)}
	j := reading(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	a.until(t, "assigned", func() bool { return a.owned[0] })
	began := time.Now()
	fault := broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: j.config.Topic, Err: kerr.TopicAuthorizationFailed, Count: -1})
	defer fault.Remove()
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is tried again, twice", func() bool { return fault.Hits() >= 3 })
	if took := time.Since(began); took < fetchAgain {
		t.Errorf("3 fetches failed within %s, the pause between them is %s", took, fetchAgain)
	}
	if got := fault.Hits(); got > 6 {
		t.Errorf("%d fetches failed in %s", got, time.Since(began))
	}
	fault.Remove()
	a.until(t, "read", func() bool { return len(a.fetched) == 1 })
	if got := a.halts.Load(); got != 0 {
		t.Errorf("halted: %v", a.halted[0])
	}
}

// A broker that has not learnt of the topic yet says that it does not know its id: the
// client passes that on after five times. The topic that is there is read on.
func TestATopicThatABrokerDoesNotKnowYetIsReadOn(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	unknown := broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: j.config.Topic, Err: kerr.UnknownTopicID, Count: 12})
	for range 5 {
		if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
			t.Fatal(err)
		}
	}
	a.until(t, "what was written is read", func() bool { return len(a.fetched) == 5 })
	a.mu.Lock()
	defer a.mu.Unlock()
	if unknown.Hits() < 12 || a.halted[0] != nil {
		t.Errorf("%d times unknown, %v", unknown.Hits(), a.halted[0])
	}
}

// What was found out about a partition before it was taken away says nothing of its return.
func TestAStopThatComesAfterARevocationDoesNothing(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	r := readerOf(t, j)
	turn := r.revocationsOf(0)
	r.revoked(t.Context(), r.client, map[string][]int32{j.config.Topic: {0}})
	r.stop(0, turn, kerr.UnknownTopicID)
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
		t.Fatal(err)
	}
	a.until(t, "the partition is read", func() bool { return len(a.fetched) == 1 })
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.halted[0] != nil {
		t.Errorf("halted: %v", a.halted[0])
	}
}

// slowToHalt is an applier that takes its time to halt a partition.
type slowToHalt struct {
	*fakeApplier
	began, end chan struct{}
	told       chan string
}

func (a slowToHalt) Halt(int32, error) {
	close(a.began)
	<-a.end
	a.told <- "halted"
}

func (a slowToHalt) Revoked(int32) { a.told <- "revoked" }

// Else the partition might be given again before, and the halt be its new worker's.
func TestAPartitionIsRevokedBehindItsHalt(t *testing.T) {
	t.Parallel()
	const chances = 10_000
	broker := embeddedtest.Kfake(t)
	a := slowToHalt{newApplier(nil), make(chan struct{}), make(chan struct{}), make(chan string, 9)}
	j := reading(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	a.until(t, "assigned", func() bool { return a.owned[0] })
	r := readerOf(t, j)
	turn := r.revocationsOf(0)
	var both sync.WaitGroup
	both.Go(func() { r.stop(0, turn, kerr.UnknownTopicID) })
	<-a.began
	both.Go(func() { r.revoked(context.Background(), r.client, map[string][]int32{j.config.Topic: {0}}) })
	for range chances {
		runtime.Gosched()
	}
	close(a.end)
	both.Wait()
	if first, second := <-a.told, <-a.told; first != "halted" || second != "revoked" {
		t.Errorf("%s, then %s", first, second)
	}
}

// withoutFirst is an applier that does not take partition 0.
type withoutFirst struct{ *fakeApplier }

func (a withoutFirst) Assigned(ctx context.Context, topic uuid.UUID, p int32) (int64, error) {
	if p == 0 {
		return 0, wallet.ErrRefused
	}
	return a.fakeApplier.Assigned(ctx, topic, p)
}

// Nor is the journal read anew for it, which the others would feel.
func TestAPartitionThatTheApplierDoesNotTakeIsNotReadAndTheOthersAre(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	cfg := testConfig(broker.ListenAddrs())
	cfg.Partitions = 2
	j := reading(t, cfg, &fakeLedger{}, withoutFirst{a})
	a.until(t, "the other is assigned", func() bool { return a.owned[1] })
	for p := range int32(2) {
		if _, err := j.put(deposit(inPartition(p, 2), 1)); err != nil {
			t.Fatal(err)
		}
	}
	a.until(t, "the other is read", func() bool { return len(a.fetched) == 1 })
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.fetched[0].Receipt.Partition; p != 1 || a.owned[0] {
		t.Errorf("partition %d is read, owned: %v", p, a.owned)
	}
	if readerOf(t, j).missesSome(0) {
		t.Error("it counts as one that the group did not tell")
	}
}

// The reader was ahead of the ledger, and the partition has lost what is between the two: all
// that the ledger asks for is there, and no operator has anything to decide.
func TestAPartitionThatHasWhatTheLedgerAsksForIsReadOn(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
		t.Fatal(err)
	}
	a.until(t, "read", func() bool { return len(a.fetched) == 1 })
	fault := broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: j.config.Topic, Err: kerr.OffsetOutOfRange, Count: 1})
	eventually(t, "a fetch is out of range", func() bool { return fault.Hits() == 1 })
	if _, err := j.put(deposit(uuid.New(), 2)); err != nil {
		t.Fatal(err)
	}
	a.until(t, "what comes after it is read", func() bool { return len(a.fetched) == 2 })
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.halted[0] != nil || len(a.truncated) > 0 {
		t.Errorf("halted: %v; lost are %v", a.halted[0], a.truncated)
	}
}

// The client may tell an error of a partition that was taken away meanwhile.
func TestAnErrorOfAPartitionThatWasTakenAwayHaltsNothing(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	a.until(t, "assigned", func() bool { return a.owned[0] })
	r := readerOf(t, j)
	r.revoked(t.Context(), r.client, map[string][]int32{j.config.Topic: {0}})
	r.failed(j.config.Topic, 0, &kgo.ErrDataLoss{Topic: j.config.Topic, ConsumedTo: 60, ResetTo: 55})
	r.failed(j.config.Topic, 0, kerr.OffsetOutOfRange)
	r.failed(j.config.Topic, 0, kerr.TopicAuthorizationFailed)
	r.cancel()
	r.ended.Wait()
	if a.halted[0] != nil || r.missesSome(0) {
		t.Errorf("halted: %v; it counts as this replica's: %t", a.halted[0], r.missesSome(0))
	}
}

// The client may tell of another loss of a partition that is paused for good.
func TestAHaltedPartitionIsNotReadAnew(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	a.kept.mu.Lock()
	a.kept.next[0] = 9
	a.kept.mu.Unlock()
	r := readerOf(t, j)
	r.failed(j.config.Topic, 0, kerr.OffsetOutOfRange)
	a.until(t, "halted", func() bool { return errors.Is(a.halted[0], errLost) })
	r.failed(j.config.Topic, 0, &kgo.ErrDataLoss{Topic: j.config.Topic, ConsumedTo: 9})
	r.cancel()
	r.ended.Wait()
	if r.missesSome(0) {
		t.Error("the journal is read anew for it")
	}
}
