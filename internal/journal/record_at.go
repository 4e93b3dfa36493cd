package journal

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/wallet"
)

// findAtOnce bounds the look-ups under way: each has a connection of its own.
const findAtOnce = 4

// RecordAt reads the record at a receipt. It is for the rare question after an
// operation that the ledger does not have yet, not for a hot path.
func (j *Journal) RecordAt(ctx context.Context, r wallet.Receipt) (wallet.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, j.RequestTimeout)
	defer cancel()
	select {
	case j.finding <- struct{}{}:
		defer func() { <-j.finding }()
	case <-ctx.Done():
		return wallet.Record{}, ctx.Err()
	}
	client, err := kgo.NewClient(append(clientOptions(j.Config),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{j.Topic: {r.Partition: kgo.NewOffset().At(r.Offset)}}),
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
