package journal

import (
	"context"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/wallet"
)

// maxLookUps bounds the look-ups under way: each has a connection of its own.
const maxLookUps = 4

// RecordAt reads the record at a receipt. It is for the rare question after an
// operation that the ledger does not have yet, not for a hot path.
func (j *Journal) RecordAt(ctx context.Context, r wallet.Receipt) (wallet.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, j.config.RequestTimeout)
	defer cancel()
	select {
	case j.finding <- struct{}{}:
		defer func() { <-j.finding }()
	case <-ctx.Done():
		return wallet.Record{}, ctx.Err()
	}
	client, err := kgo.NewClient(append(clientOptions(j.config),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{j.config.Topic: {r.Partition: kgo.NewOffset().At(r.Offset)}}),
	)...)
	if err != nil {
		return wallet.Record{}, err
	}
	defer client.Close()
	fetches := client.PollRecords(ctx, 1)
	if err := fetches.Err(); err != nil {
		return wallet.Record{}, err
	}
	if records := fetches.Records(); len(records) > 0 {
		return Decode(records[0]), nil
	}
	return wallet.Record{}, ctx.Err()
}

// Reaches reports whether the journal has the receipt's place: its partition, and an end beyond
// it. Only where it seems not to are all brokers asked, for a deposed leader may have told so.
func (j *Journal) Reaches(ctx context.Context, r wallet.Receipt) (bool, error) {
	listed, err := j.listEnds(ctx, j.config.Topic)
	if end, ok := listed.Lookup(j.config.Topic, r.Partition); ok && end.Err == nil && r.Offset < end.Offset {
		return true, nil
	}
	var topic uuid.UUID
	if w := j.writer.Load(); w != nil {
		topic = w.topic.ID
	}
	ends, _, err := j.believed(ctx, j.config.Topic, topic, listed, err)
	if end, ok := ends[r.Partition]; ok {
		return r.Offset < end, nil
	}
	return false, err
}
