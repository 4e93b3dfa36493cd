package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/wallet"
)

// The filters are in no index: $8 bounds what a page looks at.
const selectHistory = `
SELECT ` + operationColumns + ` FROM operations o
WHERE o.wallet_id = $1 AND o.sequence < $2 AND o.sequence >= $8
	AND ($3::smallint IS NULL OR o.status = $3) AND ($4::smallint IS NULL OR o.type = $4)
	AND ($5::timestamptz IS NULL OR o.applied_at >= $5) AND ($6::timestamptz IS NULL OR o.applied_at < $6)
ORDER BY o.sequence DESC LIMIT $7`

const selectWaiting = `
SELECT position, operation_id, type, amount, accepted_at, partition, journal_offset FROM requeued
WHERE wallet_id = $1 AND kind = 1 AND position < $2 AND ($3::smallint IS NULL OR type = $3)
ORDER BY position DESC LIMIT $4`

const maxInt64 = 1<<63 - 1

// historyLook bounds the numbered operations that one page looks at for those that
// its filters let through. Without filters a page never meets it: sequences have no gap.
const historyLook = 20_000

// Operations returns a page of a wallet's operations, newest first: the requeued
// ones as PENDING, then the numbered ones. A page whose filters let few through may
// have fewer than asked for, or none, before the end of the list. A wallet that does
// not exist is a *wallet.Error with CodeWalletNotFound.
func (l *Ledger) Operations(ctx context.Context, walletID uuid.UUID, q wallet.Query) (wallet.Page, error) {
	var page wallet.Page
	ctx, cancel, err := l.reading(ctx)
	if err != nil {
		return page, err
	}
	defer cancel()
	cursor, top := q.Before, q.Before.Sequence
	if top == 0 || top == maxInt64 { // nothing numbered was shown
		w, err := l.Wallet(ctx, walletID)
		if err != nil {
			return page, err
		}
		top = w.Sequence + 1
	}
	// One row more than asked for says whether there is a next page.
	rest := q.Limit + 1
	if wantsPending(q) && cursor.Sequence == 0 {
		waiting, err := l.waiting(ctx, walletID, q, rest)
		if err != nil {
			return page, err
		}
		for _, e := range waiting {
			page.Operations = append(page.Operations, e.Operation)
		}
		if len(waiting) == rest {
			page.Operations = page.Operations[:q.Limit]
			page.Next = &wallet.Cursor{Position: waiting[q.Limit-1].Position}
			return page, nil
		}
		rest -= len(waiting)
		if len(waiting) > 0 {
			cursor.Position = waiting[len(waiting)-1].Position
		}
	}
	if q.Status != nil && *q.Status == wallet.Pending {
		return page, nil
	}
	return l.numbered(ctx, walletID, q, page, cursor, top, rest)
}

// numbered fills page with up to rest numbered operations, the last of which only says
// that there is more. It looks below the cursor, or at all that are there by now; top is
// above those that were there before the page was begun.
func (l *Ledger) numbered(ctx context.Context, walletID uuid.UUID, q wallet.Query, page wallet.Page, cursor wallet.Cursor, top int64, rest int) (wallet.Page, error) {
	first, end, err := l.period(ctx, walletID, q, top)
	if err != nil {
		return page, err
	}
	least, before := max(first, end-historyLook), end
	if end == top && cursor.Sequence == 0 {
		before = maxInt64
	}
	rows, err := l.reads.Query(ctx, selectHistory, walletID, before, statusFilter(q.Status), typeFilter(q.Type), timeFilter(q.From), timeFilter(q.To), rest, least)
	if err != nil {
		return page, l.classified(err)
	}
	ops, err := pgx.CollectRows(rows, scanOperation)
	if err != nil {
		return page, l.classified(err)
	}
	switch {
	case len(ops) == rest:
		ops = ops[:rest-1]
		next := wallet.Cursor{Position: cursor.Position, Sequence: before}
		if len(ops) > 0 {
			next.Sequence = ops[len(ops)-1].Sequence
		}
		page.Next = &next
	case least > first:
		page.Next = &wallet.Cursor{Position: cursor.Position, Sequence: least}
	}
	page.Operations = append(without(page.Operations, ops), ops...)
	return page, nil
}

// without returns the requeued operations that are not among the numbered ones:
// what was applied between the two reads is in both.
func without(waiting, numbered []wallet.Operation) []wallet.Operation {
	if len(waiting) == 0 {
		return nil
	}
	applied := make(map[uuid.UUID]bool, len(numbered))
	for i := range numbered {
		applied[numbered[i].ID] = true
	}
	return slices.DeleteFunc(waiting, func(op wallet.Operation) bool { return applied[op.ID] })
}

func (l *Ledger) waiting(ctx context.Context, walletID uuid.UUID, q wallet.Query, limit int) ([]wallet.Entry, error) {
	before := int64(maxInt64)
	if q.Before.Position > 0 {
		before = q.Before.Position
	}
	rows, err := l.reads.Query(ctx, selectWaiting, walletID, before, typeFilter(q.Type), limit)
	if err != nil {
		return nil, l.classified(err)
	}
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (wallet.Entry, error) {
		e := wallet.Entry{Operation: wallet.Operation{WalletID: walletID}}
		err := row.Scan(&e.Position, &e.ID, &e.Type, &e.Amount, &e.AcceptedAt, &e.Receipt.Partition, &e.Receipt.Offset)
		e.AcceptedAt = e.AcceptedAt.UTC()
		return e, err
	})
	return entries, l.classified(err)
}

// wantsPending reports whether a PENDING operation can match q: one has no
// AppliedAt yet, so a time filter leaves it out.
func wantsPending(q wallet.Query) bool {
	return (q.Status == nil || *q.Status == wallet.Pending) && q.From.IsZero() && q.To.IsZero()
}

func statusFilter(s *wallet.Status) *int16 {
	if s == nil {
		return nil
	}
	v := int16(*s)
	return &v
}

func typeFilter(t wallet.Type) *int16 {
	if t == 0 {
		return nil
	}
	v := int16(t)
	return &v
}

func timeFilter(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

const selectOperation = `
SELECT ` + operationColumns + `, r.type, r.amount, r.accepted_at, r.partition, r.journal_offset,
	(SELECT next_offset FROM journal_offsets JOIN journal USING (topic_id) WHERE partition = $3)
FROM (VALUES (1)) AS one
LEFT JOIN operations o ON o.wallet_id = $1 AND o.operation_id = $2
LEFT JOIN LATERAL (SELECT * FROM requeued WHERE wallet_id = $1 AND operation_id = $2 AND kind = 1 ORDER BY position LIMIT 1) r ON true`

// Operation returns an operation: as the ledger has it, or PENDING while it is
// requeued. passed is the partition's next offset (0 if it has none) when neither
// knows it; operation, list and offset are read in one statement, so an operation
// whose receipt lies below passed is not on its way.
func (l *Ledger) Operation(ctx context.Context, walletID, id uuid.UUID, r wallet.Receipt) (op wallet.Operation, found bool, passed int64, err error) {
	ctx, cancel, err := l.reading(ctx)
	if err != nil {
		return op, false, 0, err
	}
	defer cancel()
	var row, waiting operationRow
	var next *int64
	targets := append(row.targets(), &waiting.kind, &waiting.amount, &waiting.accepted, &waiting.partition, &waiting.offset, &next)
	if err := l.reads.QueryRow(ctx, selectOperation, walletID, id, r.Partition).Scan(targets...); err != nil {
		return op, false, 0, l.classified(err)
	}
	switch {
	case row.id != nil:
		return row.operation(), true, 0, nil
	case waiting.kind != nil:
		waiting.walletID, waiting.id = &walletID, &id
		return waiting.operation(), true, 0, nil
	}
	return op, false, value(next), nil
}
