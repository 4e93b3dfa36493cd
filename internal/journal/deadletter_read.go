package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/wallet"
)

// Letter is a dead letter: a record that did not decode, as it was found, or only its
// place if it was too large.
type Letter struct {
	Topic  uuid.UUID      // of the dead letters
	Place  wallet.Receipt // in it
	At     time.Time
	Origin wallet.Receipt // in the journal; NoReceipt if the letter does not say
	Why    string
	Key    []byte
	Value  []byte

	Headers []wallet.Header // the record's own
}

// Subject names the letter for ever: a topic's name may be given to another.
func (l Letter) Subject() string {
	return fmt.Sprintf("%s/%s", l.Topic, l.Place)
}

// Empty says that the letter has nothing of the record, which was too large for one or
// had nothing.
func (l Letter) Empty() bool { return len(l.Key)+len(l.Value)+len(l.Headers) == 0 }

// record is what was in the journal.
func (l Letter) record() *kgo.Record {
	r := &kgo.Record{Key: l.Key, Value: l.Value, Partition: l.Origin.Partition, Offset: l.Origin.Offset}
	for _, h := range l.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return r
}

// Decode says what this program makes of the record: another than the one that
// buried it may know more.
func (l Letter) Decode() wallet.Record { return Decode(l.record()) }

// letterOf takes the headers that Bury has added off again. Whatever else
// somebody wrote to the topic is a letter without them.
func letterOf(topic uuid.UUID, r *kgo.Record) Letter {
	l := Letter{Topic: topic, Place: wallet.Receipt{Partition: r.Partition, Offset: r.Offset}, At: r.Timestamp.UTC(), Origin: wallet.NoReceipt, Key: r.Key, Value: r.Value}
	own := r.Headers
	if n := len(own) - 3; n >= 0 && own[n].Key == headerPartition && own[n+1].Key == headerOffset && own[n+2].Key == headerError {
		partition, err := strconv.ParseInt(string(own[n].Value), 10, 32)
		offset, err2 := strconv.ParseInt(string(own[n+1].Value), 10, 64)
		if err == nil && err2 == nil {
			l.Origin = wallet.Receipt{Partition: int32(partition), Offset: offset}
		}
		l.Why, own = string(own[n+2].Value), own[:n]
	}
	for _, h := range own {
		l.Headers = append(l.Headers, wallet.Header{Key: h.Key, Value: h.Value})
	}
	return l
}

// VisitLetters calls visit with the dead letters, some at a time in the order of their
// places, from a place on, until it returns false or there are no more. Without
// their topic there are none.
func (j *Journal) VisitLetters(ctx context.Context, from wallet.Receipt, visit func([]Letter) (bool, error)) error {
	name := deadLetterTopic(j.config.Topic)
	topics, err := j.admin.ListTopics(ctx, name)
	if err != nil {
		return fmt.Errorf("%w: %w", wallet.ErrUnreachable, err)
	}
	topic, ok := topics[name]
	if !ok || errors.Is(topic.Err, kerr.UnknownTopicOrPartition) {
		return nil
	}
	starts, ends, err := j.bounds(ctx, name, uuid.UUID(topic.ID))
	if err != nil {
		return err
	}
	for p := max(from.Partition, 0); p < int32(len(topic.Partitions)); p++ {
		at := starts[p]
		if p == from.Partition {
			at = max(at, from.Offset)
		}
		more, err := j.lettersOf(ctx, topic.ID, p, at, ends[p], visit)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// BuriedPlaces returns where the records were that are dead letters.
func (j *Journal) BuriedPlaces(ctx context.Context) (map[wallet.Receipt]bool, error) {
	places := map[wallet.Receipt]bool{}
	return places, j.VisitLetters(ctx, wallet.Receipt{}, func(letters []Letter) (bool, error) {
		for _, l := range letters {
			if l.Origin.Known() {
				places[l.Origin] = true
			}
		}
		return true, nil
	})
}

// maxPolledLetters bounds the letters of one look.
const maxPolledLetters = 100

func (j *Journal) lettersOf(ctx context.Context, topic [16]byte, partition int32, at, end int64, visit func([]Letter) (bool, error)) (more bool, err error) {
	if at >= end {
		return true, nil
	}
	client, err := j.consumer(deadLetterTopic(j.config.Topic), map[int32]kgo.Offset{partition: kgo.NewOffset().At(at)})
	if err != nil {
		return false, err
	}
	defer client.Close()
	for at < end {
		fetches, err := poll(ctx, client, maxPolledLetters)
		if err != nil {
			return false, fmt.Errorf("%w: dead letters from %s: %w", wallet.ErrUnreachable, wallet.Receipt{Partition: partition, Offset: at}, err)
		}
		var letters []Letter
		for _, r := range fetches.Records() {
			if at = r.Offset + 1; r.Offset < end && !r.Attrs.IsControl() {
				letters = append(letters, letterOf(topic, r))
			}
		}
		if more, err := visit(letters); err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// Letter returns the dead letter at a place; false: there is none.
func (j *Journal) Letter(ctx context.Context, place wallet.Receipt) (letter Letter, found bool, err error) {
	err = j.VisitLetters(ctx, place, func(letters []Letter) (bool, error) {
		if len(letters) > 0 {
			letter, found = letters[0], letters[0].Place == place
		}
		return len(letters) == 0, nil
	})
	return letter, found, err
}

// ReplayLetter appends a dead letter's record to the journal again: its own key, value
// and headers. One that decodes goes to its wallet's partition, behind everything
// that is there; one that does not goes where it was. The place is returned once
// all in-sync replicas have it.
//
// The trace that it was replayed is written after that, by the caller. So a crash
// between the two leaves the letter open, and replaying it again appends the record
// twice, which is harmless: each operation is applied once, by its id. The other
// order could mark a letter that never got into the journal, and lose it.
func (j *Journal) ReplayLetter(ctx context.Context, l Letter, topic wallet.Topic) (wallet.Receipt, error) {
	r := l.record()
	r.Topic, r.Offset, r.Partition = topic.Name, 0, max(r.Partition, 0)
	if rec := l.Decode(); rec.Kind != wallet.KindPoison {
		r.Partition = PartitionAmong(rec.WalletID, topic.Partitions)
	}
	if r.Partition >= topic.Partitions {
		r.Partition = 0
	}
	client, err := deadLetterClient(j.config, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return wallet.NoReceipt, err
	}
	defer client.Close()
	if r, err = client.ProduceSync(ctx, r).First(); err != nil {
		return wallet.NoReceipt, fmt.Errorf("%w: %w: it may be in the journal or not; replaying it again applies nothing twice", wallet.ErrUnacknowledged, err)
	}
	return wallet.Receipt{Partition: r.Partition, Offset: r.Offset}, nil
}
