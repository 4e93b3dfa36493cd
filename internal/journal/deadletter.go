package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/wallet"
)

// The headers that a dead letter has beside its own.
const (
	headerPartition = "walletd-partition"
	headerOffset    = "walletd-offset"
	headerError     = "walletd-error"
)

// deadLetterTopic returns the name of the topic for records that do not decode.
func deadLetterTopic(topic string) string { return topic + ".dead-letters" }

// createDeadLetterTopic makes the topic of dead letters; nil if it is there.
func (j *Journal) createDeadLetterTopic() error {
	if err := j.createTopic(deadLetterTopic(j.config.Topic), 1, maxDeadLetterBytes); err != nil {
		return fmt.Errorf("create the topic of dead letters: %w", err)
	}
	return nil
}

// maxDeadLetterBytes bounds a dead letter, before compression: a broker's limit on
// a record is on its compressed size, so that what does not decode may be larger
// than anything walletd writes. letterSlack of it is for the headers that a letter
// has beside its own, and for framing; each header has the lengths of its two parts.
const (
	maxDeadLetterBytes = 64 << 20
	letterSlack        = 1 << 20
	headerFraming      = 10
)

// deadLetterClient returns a client for dead letters alone: their records are larger, and
// compressed, and must never stand before an operation.
func deadLetterClient(cfg Config, more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(append(clientOptions(cfg), more...),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()),
		kgo.ProducerBatchMaxBytes(maxDeadLetterBytes),
		kgo.MaxBufferedRecords(100),
	)...)
}

// Bury writes a record that does not decode to the dead-letter topic: its
// own key, value and headers, and where it was found; of one that is too large only
// where, for the journal keeps it. nil means acknowledged. It waits for the brokers
// as long as ctx lives.
func (j *Journal) Bury(ctx context.Context, rec wallet.Record) error {
	p := fitting(rec.Poison)
	r := &kgo.Record{Topic: deadLetterTopic(j.config.Topic), Key: p.Key, Value: p.Value}
	for _, h := range p.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	r.Headers = append(r.Headers,
		kgo.RecordHeader{Key: headerPartition, Value: strconv.AppendInt(nil, int64(rec.Receipt.Partition), 10)},
		kgo.RecordHeader{Key: headerOffset, Value: strconv.AppendInt(nil, rec.Receipt.Offset, 10)},
		kgo.RecordHeader{Key: headerError, Value: []byte(p.Err.Error())})
	done := make(chan error, 1)
	j.letters.Load().TryProduce(j.ctx, r, func(_ *kgo.Record, err error) { done <- err })
	select {
	case err := <-done:
		if err != nil {
			if errors.Is(err, kerr.UnknownTopicID) {
				j.lettersTopicUnknown.Store(true)
			}
			j.lettersFailed.Store(true)
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			err = errors.Join(err, j.createDeadLetterTopic())
		}
		return err
	case <-ctx.Done():
		return wallet.ErrUnacknowledged
	}
}

// fitting returns p, or what a letter can say of it.
func fitting(p *wallet.Poison) *wallet.Poison {
	n := len(p.Key) + len(p.Value)
	for _, h := range p.Headers {
		n += len(h.Key) + len(h.Value) + headerFraming
	}
	if n <= maxDeadLetterBytes-letterSlack {
		return p
	}
	return &wallet.Poison{Err: fmt.Errorf("%w; its %d bytes are more than a dead letter holds: they are in the journal, at its place", p.Err, n)}
}
