package ledger

import (
	"context"

	"github.com/walletd/walletd/internal/wallet"
)

// Follow makes the ledger follow a topic if it follows none yet, and returns the
// one that it follows.
func (l *Ledger) Follow(ctx context.Context, t wallet.Topic) (wallet.Topic, error) {
	_, err := l.reads.exec(ctx, `INSERT INTO journal (topic, topic_id, partitions) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		t.Name, t.ID, t.Partitions)
	if err != nil {
		return t, err
	}
	t, _, err = l.Followed(ctx)
	return t, err
}

const selectFollowed = `
SELECT topic, topic_id, partitions, generation, o.partition, o.next_offset
FROM journal LEFT JOIN journal_offsets o USING (topic_id)`

// Followed returns the topic that the ledger follows and the next offset of each
// partition in it, as of one moment; a partition that was never read has none. A
// ledger that follows no topic returns a zero one.
func (l *Ledger) Followed(ctx context.Context) (wallet.Topic, map[int32]int64, error) {
	var t wallet.Topic
	offsets := map[int32]int64{}
	var partition *int32
	var next *int64
	err := l.reads.each(ctx, []any{&t.Name, &t.ID, &t.Partitions, &t.Generation, &partition, &next}, func() {
		if partition != nil {
			offsets[*partition] = *next
		}
	}, selectFollowed)
	return t, offsets, err
}
