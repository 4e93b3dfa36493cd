package journal

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

func TestReadingBeginsAtTheLedgersOffsetNotAtTheGroups(t *testing.T) {
	t.Parallel()
	broker, first := embeddedtest.Kfake(t), newApplier(nil)
	cfg, l := testConfig(broker.ListenAddrs()), &fakeLedger{}
	j := met(t, cfg, l, first)
	for i := range 5 {
		if _, err := j.put(deposit(uuid.New(), wallet.Amount(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	first.until(t, "all are read", func() bool { return len(first.fetched) == 5 })
	j.Close()
	second := newApplier(&offsets{next: map[int32]int64{0: 2}}) // its batches after that were rolled back
	met(t, cfg, l, second)
	second.until(t, "the rest is read again", func() bool { return len(second.fetched) == 3 })
	if got := second.seen()[0].Amount; got != 3 {
		t.Errorf("began at %d", got)
	}
}

func TestPausedPartitionIsFetchedAgainAfterResume(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	a.change(func() { a.pauses = true })
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
		t.Fatal(err)
	}
	a.until(t, "the first is read", func() bool { return len(a.fetched) == 1 })
	// A fetch that was buffered may still come; then there is none.
	a.change(func() { a.pauses = false })
	j.Resume(0)
	if _, err := j.put(deposit(uuid.New(), 2)); err != nil {
		t.Fatal(err)
	}
	a.until(t, "the second is read", func() bool { return len(a.fetched) == 2 })
}

func TestPoisonIsReadInItsPlaceAndKeptAsDeadLetterWithWhereItWas(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
		t.Fatal(err)
	}
	foreign := &kgo.Record{Topic: j.config.Topic, Key: []byte("no wallet"), Value: []byte{0xff, 0x00, 'x'}, Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte{1, 2}}, {Key: "attempt", Value: []byte("many")}}}
	if err := client(t, j.config.Brokers).ProduceSync(t.Context(), foreign).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.put(deposit(uuid.New(), 2)); err != nil {
		t.Fatal(err)
	}
	a.until(t, "all are read", func() bool { return len(a.fetched) == 3 })
	poison := a.fetched[1]
	if poison.Kind != wallet.KindPoison || poison.Receipt.Offset != 1 || a.fetched[2].Kind != wallet.KindOperations {
		t.Fatalf("read %+v", a.fetched)
	}
	if err := j.Bury(t.Context(), poison); err != nil {
		t.Fatal(err)
	}
	letter := content(t, j.config.Brokers, deadLetterTopic(j.config.Topic), 0, 1)[0]
	if !bytes.Equal(letter.Key, foreign.Key) || !bytes.Equal(letter.Value, foreign.Value) {
		t.Errorf("kept %q: %q", letter.Key, letter.Value)
	}
	want := append(slices.Clone(foreign.Headers), kgo.RecordHeader{Key: headerPartition, Value: []byte("0")}, kgo.RecordHeader{Key: headerOffset, Value: []byte("1")}, kgo.RecordHeader{Key: headerError, Value: []byte(poison.Poison.Err.Error())})
	if len(letter.Headers) != len(want) {
		t.Fatalf("headers %+v", letter.Headers)
	}
	for i, h := range letter.Headers {
		if h.Key != want[i].Key || !bytes.Equal(h.Value, want[i].Value) {
			t.Errorf("header %d: %s=%q, want %s=%q", i, h.Key, h.Value, want[i].Key, want[i].Value)
		}
	}
}

func TestDeadLetterThatIsNotAcknowledgedIsAnError(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	_, release := hold(broker)
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := j.Bury(ctx, wallet.Record{Kind: wallet.KindPoison, Poison: &wallet.Poison{Err: errors.New("broken")}})
	if !errors.Is(err, wallet.ErrUnacknowledged) {
		t.Error(err)
	}
}

func TestReachesAndRecordAtTellWhatTheJournalHas(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	cfg := testConfig(broker.ListenAddrs())
	cfg.RequestTimeout = 5 * time.Second
	j := met(t, cfg, &fakeLedger{}, a)
	reaches := func(r wallet.Receipt, want bool) {
		t.Helper()
		if there, err := j.Reaches(t.Context(), r); err != nil || there != want {
			t.Errorf("%s: %t, %v", r, there, err)
		}
	}
	reaches(wallet.Receipt{}, false)
	var ops []wallet.Operation
	for i := range 3 {
		ops = append(ops, deposit(uuid.New(), wallet.Amount(i+1)))
		if _, err := j.put(ops[i]); err != nil {
			t.Fatal(err)
		}
	}
	reaches(wallet.Receipt{Offset: 2}, true)
	reaches(wallet.Receipt{Offset: 3}, false)
	reaches(wallet.Receipt{Partition: 7}, false) // a receipt may name any partition
	for i, op := range ops {
		rec, err := j.RecordAt(t.Context(), wallet.Receipt{Partition: 0, Offset: int64(i)})
		if err != nil || rec.Receipt.Offset != int64(i) || rec.Replica != j.config.Replica || rec.Operations[0] != op {
			t.Errorf("%+v, %v", rec, err)
		}
	}
	for _, absent := range []wallet.Receipt{{Partition: 0, Offset: 3}, {Partition: 0, Offset: 30}, {Partition: 7, Offset: 0}} {
		began := time.Now()
		if rec, err := j.RecordAt(t.Context(), absent); err == nil {
			t.Errorf("%+v: found %+v", absent, rec)
		}
		if d := time.Since(began); d > cfg.RequestTimeout+2*time.Second {
			t.Errorf("%+v: took %s", absent, d)
		}
	}
}
