package ledger

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/wallet"
)

const moveOffsets = `
WITH moved AS (
	UPDATE journal_offsets o SET next_offset = f.next
	FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::bigint[]) AS f (topic_id, partition, expected, next)
	WHERE o.topic_id = f.topic_id AND o.partition = f.partition AND o.next_offset = f.expected
	RETURNING 1)
SELECT expect((SELECT count(*) FROM moved), $5, '` + stateFenced + `')`

// A create record is in the journal already: the trigger must not note the wallet as lacking
// one.
const noteNoCreation = `SELECT set_config('walletd.journaled', 'yes', true)`

const insertWallets = `
INSERT INTO wallets (id, balance, version, created_at, updated_at)
SELECT id, 0, 0, at, at FROM unnest($1::uuid[], $2::timestamptz[]) AS c (id, at)`

// The arrays of changes and operations are unnested in the list of columns, not after
// FROM: there each would go through a tuplestore of its own, a tenth of what a row
// costs and more.
const changeWallets = `
WITH moved AS (
	UPDATE wallets w SET balance = c.balance, version = c.version, updated_at = c.at
	FROM (SELECT unnest($1::uuid[]) AS id, unnest($2::bigint[]) AS from_version, unnest($3::bigint[]) AS balance,
		unnest($4::bigint[]) AS version, unnest($5::timestamptz[]) AS at) AS c
	WHERE w.id = c.id AND w.version = c.from_version
	RETURNING 1)
SELECT expect((SELECT count(*) FROM moved), $6, '` + stateConflict + `')`

const insertOperations = `
INSERT INTO operations (wallet_id, operation_id, sequence, type, amount, status, reason, origin,
	balance_after, accepted_at, applied_at, partition, journal_offset)
SELECT unnest($1::uuid[]), unnest($2::uuid[]), unnest($3::bigint[]), unnest($4::smallint[]), unnest($5::bigint[]),
	unnest($6::smallint[]), unnest($7::smallint[]), unnest($8::smallint[]), unnest($9::bigint[]),
	unnest($10::timestamptz[]), unnest($11::timestamptz[]), unnest($12::integer[]), unnest($13::bigint[])`

const insertUnjournaled = `
INSERT INTO unjournaled (wallet_id, operation_id, sequence)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) ON CONFLICT DO NOTHING`

// Commit makes the batch durable, whole or not at all. It is one pipelined
// implicit transaction, a single round trip: its statements run in order, the
// first refusal undoes all of it, and the server waits for this process only if it
// got a part of them: no longer than CommitTimeout, which ends the transaction. Batches
// of the journal that come at the same time may share it.
//
// nil means committed; ErrUnavailable means that the outcome is unknown; any other
// error means that nothing happened.
func (l *Ledger) Commit(ctx context.Context, b *wallet.Batch) error {
	switch {
	case b.Fence == nil:
		return l.commit(ctx, nil, b)
	case len(b.Operations) >= aloneOperations || len(b.Lists) > 0: // large, or with a wallet that is set aside
		l.joint.forgetExpected(b.Fence.Partition)
		return l.commit(ctx, []*wallet.Fence{b.Fence}, b)
	}
	return l.commitJointly(ctx, b)
}

// commit makes one transaction of the fences and the batch.
func (l *Ledger) commit(ctx context.Context, fences []*wallet.Fence, b *wallet.Batch) error {
	var p pgx.Batch
	queueFences(&p, fences)
	queueCreates(&p, b.Creates)
	queueChanges(&p, b.Changes)
	queueOperations(&p, b.Operations)
	// A batch of the journal has a direct operation only because its backfill record was read:
	// there is nothing left to backfill.
	if fences == nil {
		queueUnjournaled(&p, b.Operations)
	}
	for i := range b.Lists {
		queueList(&p, b.Fence, &b.Lists[i])
	}
	return l.commits.send(ctx, &p)
}

// queueFences moves the partitions' offsets, each from where its batch began.
func queueFences(p *pgx.Batch, fences []*wallet.Fence) {
	n := len(fences)
	if n == 0 {
		return
	}
	topics, partitions, from, to := newIDs(n), newInt32s(n), newInt64s(n), newInt64s(n)
	for _, f := range fences {
		topics.addID(f.Topic)
		partitions.addInt32(f.Partition)
		from.addInt64(f.From)
		to.addInt64(f.To)
	}
	p.Queue(moveOffsets, topics, partitions, from, to, n)
}

func queueCreates(p *pgx.Batch, creates []wallet.Creation) {
	if len(creates) == 0 {
		return
	}
	ids, at := newIDs(len(creates)), newTimes(len(creates))
	for _, c := range creates {
		ids.addID(c.ID)
		at.addTime(c.At)
	}
	if !slices.ContainsFunc(creates, func(c wallet.Creation) bool { return c.Direct }) {
		p.Queue(noteNoCreation)
	}
	p.Queue(insertWallets, ids, at)
}

func queueChanges(p *pgx.Batch, changes []wallet.Change) {
	n := len(changes)
	if n == 0 {
		return
	}
	ids, from, balance, version, at := newIDs(n), newInt64s(n), newInt64s(n), newInt64s(n), newTimes(n)
	for _, c := range changes {
		ids.addID(c.ID)
		from.addInt64(c.FromSequence)
		balance.addInt64(int64(c.Balance))
		version.addInt64(c.Sequence)
		at.addTime(c.At)
	}
	p.Queue(changeWallets, ids, from, balance, version, at, n)
}
