package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/wallet"
)

const followOther = `
WITH moved AS (
	UPDATE journal SET topic = $3, topic_id = $4, generation = generation + 1
	WHERE topic_id = $1 AND generation = $2 AND partitions = $5
	RETURNING 1)
SELECT expect((SELECT count(*) FROM moved), 1, '` + stateChanged + `')`

const takeOffsets = `
WITH gone AS (
	DELETE FROM journal_offsets j USING unnest($2::integer[], $3::bigint[]) AS m (partition, next_offset)
	WHERE j.topic_id = $1 AND j.partition = m.partition AND j.next_offset = m.next_offset
	RETURNING 1)
SELECT expect((SELECT count(*) FROM gone), $4, '` + stateChanged + `')`

const dropOffsets = `DELETE FROM journal_offsets WHERE topic_id = $1`

const putOffsets = `
INSERT INTO journal_offsets (topic_id, partition, next_offset)
SELECT $1, m.* FROM unnest($2::integer[], $3::bigint[]) AS m`

// Repoint has the ledger follow a.To from the offsets of a.Moves, and leaves the
// trace, in one transaction. ErrTopicChanged: the ledger is not where a says it is;
// nothing has happened.
//
// It is safe against whoever still works for what was followed before. The offsets
// that move are taken away, those of another topic all of them, and no new ones are
// made for a topic that is not followed: a batch that began at one of them, even
// one on its way at this moment, is fenced; of the same topic, unless others have come
// to that very offset again before it lands.
func (l *Ledger) Repoint(ctx context.Context, a wallet.Repointing, i wallet.Intervention) error {
	var p pgx.Batch
	p.Queue(followOther, a.From.ID, a.From.Generation, a.To.Name, a.To.ID, a.To.Partitions)
	queueMoves(&p, a)
	queueIntervention(&p, i)
	return l.commits.send(ctx, &p)
}

func queueMoves(p *pgx.Batch, a wallet.Repointing) {
	var had, partitions []int32
	var from, to []int64
	for _, m := range a.Moves {
		partitions, to = append(partitions, m.Partition), append(to, m.To)
		if m.From >= 0 {
			had, from = append(had, m.Partition), append(from, m.From)
		}
	}
	p.Queue(takeOffsets, a.From.ID, had, from, len(had))
	if a.From.ID != a.To.ID {
		p.Queue(dropOffsets, a.From.ID)
	}
	p.Queue(putOffsets, a.To.ID, partitions, to)
}
