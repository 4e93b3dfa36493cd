package journal

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// answered makes the broker fail the next produce requests; work done before the
// answer is done all the same where the error says so.
func answered(broker *kfake.Cluster, err *kerr.Error, count int) *kfake.FaultHandle {
	return broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: err, Count: count})
}

// Whatever the broker says for a while, what is acknowledged in the end is in the
// journal once, in order.
func TestFaultThatPassesWithinTheAckTimeoutIsNotNoticed(t *testing.T) {
	for _, fault := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.NotEnoughReplicas, kerr.RequestTimedOut, kerr.NetworkException, kerr.NotEnoughReplicasAfterAppend,
	} {
		t.Run(fault.Message, func(t *testing.T) {
			t.Parallel()
			broker, a := embeddedtest.Kfake(t), newApplier(nil)
			j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
			hits, id := answered(broker, fault, 2), uuid.New()
			for i := range 5 {
				// Of a repeat that the broker had already the place may not be known: then it is not said.
				receipt, err := j.put(deposit(id, wallet.Amount(i+1)))
				if receipt.Offset != int64(i) && !errors.Is(err, wallet.ErrUnacknowledged) {
					t.Errorf("write %d: %+v, %v", i, receipt, err)
				}
			}
			if hits.Hits() != 2 {
				t.Errorf("%d requests failed", hits.Hits())
			}
			a.until(t, "all are read", func() bool { return len(a.fetched) == 5 })
			for i, op := range a.seen() {
				if op.Amount != wallet.Amount(i+1) {
					t.Fatalf("place %d: %d", i, op.Amount)
				}
			}
		})
	}
}

func TestWritesOutliveDisconnects(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	var cuts atomic.Int32
	broker.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		if cuts.Add(1) > 3 {
			broker.DropControl()
			return nil, nil, false
		}
		broker.KeepControl()
		return nil, errors.New("connection reset"), true
	})
	for i := range 3 {
		if receipt, err := j.put(deposit(uuid.New(), 1)); err != nil || receipt.Offset != int64(i) {
			t.Errorf("%+v, %v", receipt, err)
		}
	}
}

// A record that the broker refuses for good was handed over, so its fate is not
// claimed; the next one is written.
func TestRefusedRecordIsUnknownAndTheWriterGoesOn(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	answered(broker, kerr.MessageTooLarge, 1)
	if receipt, err := j.put(deposit(uuid.New(), 1)); !errors.Is(err, wallet.ErrUnacknowledged) || receipt.Known() {
		t.Errorf("%+v, %v", receipt, err)
	}
	if receipt, err := j.put(deposit(uuid.New(), 2)); err != nil || receipt.Offset != 0 {
		t.Errorf("%+v, %v", receipt, err)
	}
}

// An answer that is lost makes the producer repeat: the record is there once.
func TestLostAnswerDoesNotDoubleTheRecord(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	answered(broker, kerr.RequestTimedOut, 3) // answered so after the work is done
	id := uuid.New()
	for i := range 3 {
		_, _ = j.put(deposit(id, wallet.Amount(i+1)))
	}
	a.until(t, "all are read", func() bool { return len(a.fetched) >= 3 })
	if got := broker.PartitionInfo(j.config.Topic, 0).HighWatermark; got != 3 {
		t.Errorf("%d records", got)
	}
}

func TestWaitForAHungBrokerIsBoundedByTheAckTimeout(t *testing.T) {
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	cfg := testConfig(broker.ListenAddrs())
	cfg.AckTimeout = 200 * time.Millisecond
	j := met(t, cfg, &fakeLedger{}, a)
	_, release := hold(broker)
	defer release()
	began := time.Now()
	if _, err := j.put(deposit(uuid.New(), 1)); !errors.Is(err, wallet.ErrUnacknowledged) {
		t.Error(err)
	}
	if d := time.Since(began); d < cfg.AckTimeout || d > cfg.AckTimeout+2*time.Second {
		t.Errorf("waited %s", d)
	}
}

// Nothing is skipped to where records still are: what lies between was accepted.
func TestOffsetThatIsNotThereHaltsThePartition(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]int64{"deleted": 1, "never written": 9} {
		t.Run(name, func(t *testing.T) {
			broker, kept := embeddedtest.Kfake(t), newApplier(nil)
			cfg, l := testConfig(broker.ListenAddrs()), &fakeLedger{}
			j := met(t, cfg, l, kept)
			for range 4 {
				if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
					t.Fatal(err)
				}
			}
			j.Close()
			if err := broker.DeleteRecords(cfg.Topic, 0, 2); err != nil {
				t.Fatal(err)
			}
			a := newApplier(&offsets{next: map[int32]int64{0: next}})
			later := started(t, cfg, l, a)
			a.until(t, "halted", func() bool { return a.halted[0] != nil })
			if _, err := later.put(deposit(uuid.New(), 1)); err != nil {
				t.Errorf("writing needs no reading: %v", err)
			}
			if !errors.Is(a.halted[0], kerr.OffsetOutOfRange) || len(a.seen()) != 0 {
				t.Errorf("%v, %d read", a.halted[0], len(a.seen()))
			}
		})
	}
}

// The client passes some errors over and reports others to whoever polls.
func TestFetchThatFailsForAWhileGoesOn(t *testing.T) {
	for _, err := range []*kerr.Error{kerr.KafkaStorageError, kerr.TopicAuthorizationFailed} {
		t.Run(err.Message, func(t *testing.T) {
			t.Parallel()
			broker, a := embeddedtest.Kfake(t), newApplier(nil)
			j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
			fault := broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: j.config.Topic, Err: err, Count: 2})
			if err := fault.Wait(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
				t.Fatal(err)
			}
			a.until(t, "read", func() bool { return len(a.fetched) == 1 })
			if a.halted[0] != nil {
				t.Error(a.halted[0])
			}
		})
	}
}
