package journal

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// all reads the dead letters from a place on.
func (j *Journal) all(t *testing.T, from wallet.Receipt) (letters []Letter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := j.VisitLetters(ctx, from, func(part []Letter) (bool, error) {
		letters = append(letters, part...)
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	return letters
}

func TestADeadLetterIsReadAsTheRecordWasFound(t *testing.T) {
	t.Parallel()
	broker := embeddedtest.Kfake(t)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, newApplier(nil))
	if got := j.all(t, wallet.Receipt{}); len(got) != 0 {
		t.Errorf("before the first: %+v", got)
	}
	// Its own headers may look like those that burying adds.
	poison := &wallet.Poison{Key: []byte("k"), Value: []byte{0, 1, 2}, Err: errors.New("no"), Headers: []wallet.Header{{Key: headerOffset, Value: []byte("7")}, {Key: "a", Value: nil}}}
	for offset := range int64(3) {
		if err := j.Bury(t.Context(), wallet.Record{Kind: wallet.KindPoison, Poison: poison, Receipt: wallet.Receipt{Partition: 5, Offset: offset}}); err != nil {
			t.Fatal(err)
		}
	}
	foreign := &kgo.Record{Topic: deadLetterTopic(j.config.Topic), Value: []byte("foreign"), Headers: []kgo.RecordHeader{{Key: "b", Value: []byte("c")}}}
	if err := client(t, j.config.Brokers).ProduceSync(t.Context(), foreign).FirstErr(); err != nil {
		t.Fatal(err)
	}
	letters := j.all(t, wallet.Receipt{})
	if len(letters) != 4 {
		t.Fatalf("%d letters", len(letters))
	}
	for n, l := range letters[:3] {
		if l.Place != (wallet.Receipt{Offset: int64(n)}) || l.Origin != (wallet.Receipt{Partition: 5, Offset: int64(n)}) || l.Why != "no" ||
			string(l.Key) != "k" || string(l.Value) != "\x00\x01\x02" || len(l.Headers) != 2 || l.Headers[0].Key != headerOffset || string(l.Headers[0].Value) != "7" {
			t.Errorf("letter %d is %+v", n, l)
		}
	}
	if l := letters[3]; l.Origin.Known() || l.Why != "" || len(l.Headers) != 1 || string(l.Value) != "foreign" {
		t.Errorf("the foreign one is %+v", l)
	}
	if part := j.all(t, wallet.Receipt{Offset: 2}); len(part) != 2 || part[0].Place.Offset != 2 {
		t.Errorf("from the third: %+v", part)
	}
	if _, found, err := j.Letter(t.Context(), wallet.Receipt{Offset: 9}); found || err != nil {
		t.Errorf("beyond the end: %v, %v", found, err)
	}
}

// A foreign program's transaction ends with a marker, which has an offset of its own.
func TestTheLastOffsetOfTheDeadLettersMayBeNone(t *testing.T) {
	t.Parallel()
	broker := embeddedtest.Kfake(t)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, newApplier(nil))
	poison := &wallet.Poison{Value: []byte{0}, Err: errors.New("no")}
	if err := j.Bury(t.Context(), wallet.Record{Kind: wallet.KindPoison, Poison: poison}); err != nil {
		t.Fatal(err)
	}
	foreign, err := kgo.NewClient(kgo.SeedBrokers(j.config.Brokers...), kgo.TransactionalID("foreign"))
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	if err := foreign.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := foreign.ProduceSync(t.Context(), &kgo.Record{Topic: deadLetterTopic(j.config.Topic), Value: []byte("foreign")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := foreign.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if letters := j.all(t, wallet.Receipt{}); len(letters) != 2 || letters[1].Place.Offset != 1 {
		t.Errorf("%d letters, not two: %+v", len(letters), letters)
	}
}
