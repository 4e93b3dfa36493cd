package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/walletd/walletd/internal/wallet"
)

const moveOffset = `
WITH moved AS (
	UPDATE journal_offsets SET next_offset = $4
	WHERE topic_id = $1 AND partition = $2 AND next_offset = $3
	RETURNING 1)
SELECT expect((SELECT count(*) FROM moved), 1, '` + stateFenced + `')`

// What a batch creates, a record of the journal asks for: it needs none written.
const noteNoCreation = `SELECT set_config('walletd.journaled', 'yes', true)`

const insertWallets = `
INSERT INTO wallets (id, balance, version, created_at, updated_at)
SELECT id, 0, 0, at, at FROM unnest($1::uuid[], $2::timestamptz[]) AS c (id, at)`

const changeWallets = `
WITH moved AS (
	UPDATE wallets w SET balance = c.balance, version = c.version, updated_at = c.at
	FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[])
		AS c (id, from_version, balance, version, at)
	WHERE w.id = c.id AND w.version = c.from_version
	RETURNING 1)
SELECT expect((SELECT count(*) FROM moved), $6, '` + stateConflict + `')`

const insertOperations = `
INSERT INTO operations (wallet_id, operation_id, sequence, type, amount, status, reason, origin,
	balance_after, accepted_at, applied_at, partition, journal_offset)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::smallint[], $5::bigint[], $6::smallint[],
	$7::smallint[], $8::smallint[], $9::bigint[], $10::timestamptz[], $11::timestamptz[], $12::integer[], $13::bigint[])`

const insertUnjournaled = `
INSERT INTO unjournaled (wallet_id, operation_id, sequence)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) ON CONFLICT DO NOTHING`

// Commit makes the batch durable, whole or not at all. It is one pipelined
// implicit transaction, a single round trip: its statements run in order, the
// first refusal undoes all of it, and no lock is ever held across a wait for this
// process. nil means committed; ErrUnavailable means that the outcome is unknown;
// any other error means that nothing happened.
func (l *Ledger) Commit(ctx context.Context, b *wallet.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, l.commitTimeout)
	defer cancel()
	var p pgx.Batch
	if f := b.Fence; f != nil {
		p.Queue(moveOffset, f.Topic, f.Partition, f.From, f.To)
	}
	queueCreates(&p, b.Creates)
	queueChanges(&p, b.Changes)
	queueOperations(&p, b.Operations)
	// What was direct and is met in the journal now has its backfill record there.
	if b.Fence == nil {
		queueUnjournaled(&p, b.Operations)
	}
	for i := range b.Lists {
		queueList(&p, b.Fence, &b.Lists[i])
	}
	// Close reads to the end of the transaction: only its nil is a commit.
	return l.done(l.commits.SendBatch(ctx, &p).Close())
}

func queueCreates(p *pgx.Batch, creates []wallet.Creation) {
	if len(creates) == 0 {
		return
	}
	ids, at := newArray(pgtype.UUIDOID, len(creates), 16), newArray(pgtype.TimestamptzOID, len(creates), 8)
	for _, c := range creates {
		ids.addID(c.ID)
		at.addTime(c.At)
	}
	p.Queue(noteNoCreation)
	p.Queue(insertWallets, ids, at)
}

func queueChanges(p *pgx.Batch, changes []wallet.Change) {
	n := len(changes)
	if n == 0 {
		return
	}
	big := func() array { return newArray(pgtype.Int8OID, n, 8) }
	ids, from, balance, version, at := newArray(pgtype.UUIDOID, n, 16), big(), big(), big(), newArray(pgtype.TimestamptzOID, n, 8)
	for _, c := range changes {
		ids.addID(c.ID)
		from.addInt64(c.FromSequence)
		balance.addInt64(int64(c.Balance))
		version.addInt64(c.Sequence)
		at.addTime(c.At)
	}
	p.Queue(changeWallets, ids, from, balance, version, at, n)
}
