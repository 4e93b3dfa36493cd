package ledger

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/wallet"
)

const takeRequeued = `DELETE FROM requeued WHERE wallet_id = $1 AND position = ANY($2)`

const appendRequeued = `
INSERT INTO requeued (wallet_id, kind, operation_id, type, amount, accepted_at, partition, journal_offset)
SELECT $1, e.* FROM unnest($2::smallint[], $3::uuid[], $4::smallint[], $5::bigint[], $6::timestamptz[], $7::integer[], $8::bigint[])
	AS e (kind, operation_id, type, amount, accepted_at, partition, journal_offset)`

// While the attempt stays, only joining changes a list: its owner does not know
// that an operator has made it due earlier, and must not undo that.
const putList = `
INSERT INTO requeued_lists (wallet_id, partition, length, attempt, refusals, not_before, last_error)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (wallet_id) DO UPDATE SET length = excluded.length, attempt = excluded.attempt,
	refusals = excluded.refusals, last_error = excluded.last_error,
	not_before = CASE WHEN requeued_lists.attempt = excluded.attempt
		THEN least(requeued_lists.not_before, excluded.not_before) ELSE excluded.not_before END`

const dropList = `DELETE FROM requeued_lists WHERE wallet_id = $1`

// queueList writes one list's change. Only the owner of the partition, whose
// fence precedes it in the transaction, ever changes a list: the head it knows is
// the head in the table.
func queueList(p *pgx.Batch, f *wallet.Fence, c *wallet.ListChange) {
	if len(c.Taken) > 0 {
		p.Queue(takeRequeued, c.WalletID, c.Taken)
	}
	if len(c.Append) > 0 {
		queueEntries(p, c)
	}
	if c.Length == 0 {
		p.Queue(dropList, c.WalletID)
		return
	}
	p.Queue(putList, c.WalletID, f.Partition, c.Length, c.Attempt, c.Refusals, c.NotBefore, c.LastError)
}

func queueEntries(p *pgx.Batch, c *wallet.ListChange) {
	cols := newColumns(len(c.Append))
	kinds, partitions, offsets := make([]int16, len(c.Append)), make([]int32, len(c.Append)), make([]int64, len(c.Append))
	for i := range c.Append {
		e := &c.Append[i]
		cols.add(&e.Operation)
		kinds[i], partitions[i], offsets[i] = int16(e.Kind), e.Receipt.Partition, e.Receipt.Offset
	}
	p.Queue(appendRequeued, c.WalletID, kinds, cols.ids, cols.types, cols.amounts, cols.accepted, partitions, offsets)
}

// selectHeads are lists with the first of their entries, as scanHead takes them.
const selectHeads = `
SELECT l.wallet_id, l.length, l.attempt, l.refusals, l.not_before, l.last_error,
	r.position, r.kind, r.operation_id, r.type, r.amount, r.accepted_at, r.partition, r.journal_offset
FROM requeued_lists l
CROSS JOIN LATERAL (SELECT * FROM requeued r WHERE r.wallet_id = l.wallet_id ORDER BY position LIMIT 1) r`

const whereDue = `
WHERE l.partition = $1 AND (l.not_before <= $2 OR l.not_before > $4)
ORDER BY l.not_before LIMIT $3`

const (
	selectDue          = selectHeads + whereDue
	selectDueWallets   = `SELECT l.wallet_id FROM requeued_lists l` + whereDue
	selectHeadsOfLists = selectHeads + ` WHERE l.wallet_id = ANY($1)`
)

// Where some lists are refused, dueReads bounds the reads of one call, and dueAmong those that
// they are picked from, at random: each call comes past others.
const (
	dueReads = 50
	dueAmong = 10_000
)

// Due returns up to limit of the partition's lists that are due at the given
// time, longest due first. A list that is to wait for longer than most from then, which
// nobody lets one, was set aside by a clock that was ahead, and is due too. ErrRefused: those
// whose entries cannot be read are left out.
func (l *Ledger) Due(ctx context.Context, partition int32, at time.Time, most time.Duration, limit int) ([]wallet.ListHead, error) {
	due, err := collect(ctx, l.reads, scanHead, selectDue, partition, at, limit, at.Add(most))
	if !errors.Is(err, wallet.ErrRefused) {
		return due, err
	}
	ids, err := collect(ctx, l.reads, pgx.RowTo[uuid.UUID], selectDueWallets, partition, at, dueAmong, at.Add(most))
	if err != nil {
		return nil, err
	}
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	ids, due = ids[:min(limit, len(ids))], nil
	_, err = wallet.InParts(ids, dueReads, func(some []uuid.UUID) error {
		heads, err := collect(ctx, l.reads, scanHead, selectHeadsOfLists, some)
		due = append(due, heads...)
		return err
	})
	return due, err
}

func scanHead(row pgx.CollectableRow) (wallet.ListHead, error) {
	var d wallet.ListHead
	h, e := &d.List, &d.First
	err := row.Scan(&h.WalletID, &h.Length, &h.Attempt, &h.Refusals, &h.NotBefore, &h.LastError,
		&e.Position, &e.Kind, &e.ID, &e.Type, &e.Amount, &e.AcceptedAt, &e.Receipt.Partition, &e.Receipt.Offset)
	e.WalletID = h.WalletID
	return d, err
}

// FullLists returns the wallets whose requeued list has reached bound.
func (l *Ledger) FullLists(ctx context.Context, bound int) ([]uuid.UUID, error) {
	return collect(ctx, l.reads, pgx.RowTo[uuid.UUID], `SELECT wallet_id FROM requeued_lists WHERE length >= $1`, bound)
}
