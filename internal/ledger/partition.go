package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

const selectPartition = `
SELECT j.next_offset, l.wallet_id, l.length, l.attempt, l.refusals, l.not_before, l.last_error
FROM journal_offsets j LEFT JOIN requeued_lists l ON l.partition = j.partition
WHERE j.topic_id = $1 AND j.partition = $2`

// The row of journal is locked against an operator who has the ledger follow another
// topic just now: the topic before must be left without offsets.
const insertPartition = `
INSERT INTO journal_offsets (topic_id, partition, next_offset)
SELECT $1, $2, 0 FROM (SELECT 1 FROM journal WHERE topic_id = $1 FOR SHARE) AS followed ON CONFLICT DO NOTHING`

// Partition returns, as of one moment, where a partition is to be read from and
// the heads of its requeued lists. A partition met for the first time begins at 0.
// ErrTopicChanged: the ledger follows another topic.
func (l *Ledger) Partition(ctx context.Context, topic uuid.UUID, partition int32) (wallet.Progress, error) {
	if _, err := l.reads.exec(ctx, insertPartition, topic, partition); err != nil {
		return wallet.Progress{}, err
	}
	p := wallet.Progress{Next: -1}
	var id *uuid.UUID
	var length, attempt, refusals *int
	var notBefore *time.Time
	var lastError *string
	err := l.reads.each(ctx, []any{&p.Next, &id, &length, &attempt, &refusals, &notBefore, &lastError}, func() {
		if id != nil {
			p.Lists = append(p.Lists, wallet.List{WalletID: *id, Length: *length, Attempt: *attempt, Refusals: *refusals, NotBefore: *notBefore, LastError: *lastError})
		}
	}, selectPartition, topic, partition)
	if err == nil && p.Next < 0 {
		return p, fmt.Errorf("%w: it has no offset for partition %d of topic %s", wallet.ErrTopicChanged, partition, topic)
	}
	return p, err
}

const selectOffsets = `SELECT partition, next_offset FROM journal_offsets JOIN journal USING (topic_id)`

// Offsets returns the next offset of each partition of the journal that the ledger follows.
func (l *Ledger) Offsets(ctx context.Context) (map[int32]int64, error) {
	offsets := map[int32]int64{}
	var partition int32
	var next int64
	err := l.reads.each(ctx, []any{&partition, &next}, func() { offsets[partition] = next }, selectOffsets)
	return offsets, err
}
