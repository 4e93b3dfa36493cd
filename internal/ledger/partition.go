package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/wallet"
)

// topic returns the topic that the ledger follows; a zero one if it follows none yet.
func (l *Ledger) topic(ctx context.Context) (wallet.Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, l.config.ReadTimeout)
	defer cancel()
	var t wallet.Topic
	err := l.reads.QueryRow(ctx, `SELECT topic, topic_id, partitions, generation FROM journal`).Scan(&t.Name, &t.ID, &t.Partitions, &t.Generation)
	if noRows(err) {
		return t, nil
	}
	return t, l.heed(err)
}

// Follow makes the ledger follow a topic if it follows none yet, and returns the
// one that it follows.
func (l *Ledger) Follow(ctx context.Context, t wallet.Topic) (wallet.Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, l.config.ReadTimeout)
	defer cancel()
	_, err := l.reads.Exec(ctx, `INSERT INTO journal (topic, topic_id, partitions) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		t.Name, t.ID, t.Partitions)
	if err != nil {
		return t, l.heed(err)
	}
	return l.topic(ctx)
}

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
	ctx, cancel := context.WithTimeout(ctx, l.config.ReadTimeout)
	defer cancel()
	_, err := l.reads.Exec(ctx, insertPartition, topic, partition)
	if err != nil {
		return wallet.Progress{}, l.heed(err)
	}
	p := wallet.Progress{Next: -1}
	var id *uuid.UUID
	var length, attempt, refusals *int
	var notBefore *time.Time
	var lastError *string
	err = l.reads.each(ctx, []any{&p.Next, &id, &length, &attempt, &refusals, &notBefore, &lastError}, func() {
		if id != nil {
			p.Lists = append(p.Lists, wallet.List{WalletID: *id, Length: *length, Attempt: *attempt, Refusals: *refusals, NotBefore: *notBefore, LastError: *lastError})
		}
	}, selectPartition, topic, partition)
	if err == nil && p.Next < 0 {
		return p, fmt.Errorf("%w: it has no offset for partition %d of topic %s", wallet.ErrTopicChanged, partition, topic)
	}
	return p, err
}

const selectOffsets = `
SELECT partition, next_offset, NULL::uuid FROM journal_offsets JOIN journal USING (topic_id)
UNION ALL SELECT 0, 0, wallet_id FROM requeued_lists WHERE length >= $1`

// Offsets returns the next offset of each partition of the journal that the
// ledger follows, and the wallets whose requeued list has reached bound.
func (l *Ledger) Offsets(ctx context.Context, bound int) (offsets map[int32]int64, full []uuid.UUID, err error) {
	offsets = map[int32]int64{}
	var partition int32
	var next int64
	var id *uuid.UUID
	err = l.reads.each(ctx, []any{&partition, &next, &id}, func() {
		if id != nil {
			full = append(full, *id)
		} else {
			offsets[partition] = next
		}
	}, selectOffsets, bound)
	return offsets, full, err
}

// noRows reports whether err says that a row is not there.
func noRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
