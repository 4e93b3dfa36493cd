package journal

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// A broker's bound on a record is on its compressed size. What a foreign producer
// got in that way has to get into the dead letters too, or its partition stands
// still for ever; of what is larger than a letter it says where it is.
func TestPoisonLargerThanAJournalRecordIsKeptAsDeadLetter(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	foreign := client(t, j.config.Brokers, kgo.ProducerBatchMaxBytes(100<<20), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	for i, bytesOf := range []int{maxRecordBytes + 1, 8 << 20, maxDeadLetterBytes} {
		value := bytes.Repeat([]byte{'x', 0}, bytesOf/2)
		if err := foreign.ProduceSync(t.Context(), &kgo.Record{Topic: j.config.Topic, Key: []byte("large"), Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		a.until(t, "it is read", func() bool { return len(a.fetched) == i+1 })
		poison := a.fetched[i]
		if poison.Kind != wallet.KindPoison {
			t.Fatalf("read as %d", poison.Kind)
		}
		if err := j.Bury(t.Context(), poison); err != nil {
			t.Fatalf("%d bytes: %v", bytesOf, err)
		}
		letter := content(t, j.config.Brokers, deadLetterTopic(j.config.Topic), 0, i+1)[i]
		if bytesOf == maxDeadLetterBytes { // with its key and headers it is beyond the bound
			if l := letterOf(uuid.New(), letter); !l.Empty() || l.Origin != poison.Receipt || !strings.Contains(l.Why, "in the journal, at its place") {
				t.Errorf("a letter that is too large: %q with %d bytes, from %v", l.Why, len(l.Value), l.Origin)
			}
			continue
		}
		if l := letterOf(uuid.New(), letter); l.Empty() || !bytes.Equal(letter.Value, value) || string(letter.Key) != "large" {
			t.Errorf("%d bytes: %d were kept", bytesOf, len(letter.Value))
		}
	}
}

func TestALetterHoldsWhatItsBoundAllows(t *testing.T) {
	t.Parallel()
	most := maxDeadLetterBytes - letterSlack
	for name, c := range map[string]struct {
		poison wallet.Poison
		whole  bool
	}{
		"as much as it holds":          {wallet.Poison{Value: make([]byte, most)}, true},
		"a byte more":                  {wallet.Poison{Key: []byte{1}, Value: make([]byte, most)}, false},
		"lengths of a million headers": {wallet.Poison{Value: make([]byte, most-9e6), Headers: make([]wallet.Header, 1e6)}, false},
	} {
		c.poison.Err = errors.New("unknown")
		if p := fitting(&c.poison); (p == &c.poison) != c.whole || !errors.Is(p.Err, c.poison.Err) {
			t.Errorf("%s: whole %v, %v", name, p == &c.poison, p.Err)
		}
	}
}
