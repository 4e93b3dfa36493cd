package ledger

import (
	"context"
	"math"
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

// A waiting operation is shown once, at its first entry: repeats join the list too, and an
// entry whose operation the ledger already has is not shown.
const selectWaiting = `
SELECT position, operation_id, type, amount, accepted_at, partition, journal_offset FROM requeued r
WHERE wallet_id = $1 AND kind = 1 AND position < $2 AND ($3::smallint IS NULL OR type = $3)
	AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.wallet_id = r.wallet_id AND o.operation_id = r.operation_id)
	AND NOT EXISTS (SELECT 1 FROM requeued f
		WHERE f.wallet_id = r.wallet_id AND f.operation_id = r.operation_id AND f.kind = 1 AND f.position < r.position)
ORDER BY position DESC LIMIT $4`

// historyLook bounds the numbered operations that one page looks at for those that
// its filters let through. Without filters a page never meets it: sequences have no gap.
const historyLook = 20_000

// pager collects one page of a wallet's list.
type pager struct {
	ledger   *Ledger
	walletID uuid.UUID
	query    wallet.Query
	page     wallet.Page
	cursor   wallet.Cursor // behind what was shown so far
	room     int           // rows; one more than asked for says whether there is a next page
}

// Operations returns a page of a wallet's operations, newest first: the requeued
// ones as PENDING, then the numbered ones. A page whose filters let few through may
// have fewer than asked for, or none, before the end of the list. A wallet that does
// not exist is a *wallet.Error with CodeWalletNotFound.
func (l *Ledger) Operations(ctx context.Context, walletID uuid.UUID, q wallet.Query) (wallet.Page, error) {
	ctx, cancel := context.WithTimeout(ctx, l.config.ReadTimeout) // of all statements
	defer cancel()
	p := &pager{ledger: l, walletID: walletID, query: q, cursor: q.Before, room: q.Limit + 1}
	// The top is read first, then the list, then the numbered operations: one that is applied
	// meanwhile may be in both, and is never in neither.
	top, err := p.top(ctx)
	if err != nil {
		return p.page, err
	}
	full, err := p.requeued(ctx)
	if err != nil || full || q.Status != nil && *q.Status == wallet.Pending {
		return p.page, err
	}
	err = p.numbered(ctx, top)
	return p.page, err
}

// top returns the sequence below which the page's numbered operations are: the cursor's,
// else one above the wallet's newest.
func (p *pager) top(ctx context.Context) (int64, error) {
	if top := p.cursor.Sequence; top > 0 && top < math.MaxInt64 {
		return top, nil
	}
	w, err := p.ledger.Wallet(ctx, p.walletID) // nothing numbered was shown
	return w.Sequence + 1, err
}

// requeued adds the requeued operations, and reports whether they fill the page.
func (p *pager) requeued(ctx context.Context) (full bool, err error) {
	if !wantsPending(p.query) || p.cursor.Sequence > 0 {
		return false, nil
	}
	entries, err := p.entries(ctx)
	if err != nil {
		return false, err
	}
	if full = len(entries) == p.room; full {
		entries = entries[:p.query.Limit]
	}
	for _, e := range entries {
		p.page.Operations = append(p.page.Operations, e.Operation)
		p.cursor.Position = e.Position
	}
	p.room -= len(entries)
	if full {
		p.page.Next = &wallet.Cursor{Position: p.cursor.Position}
	}
	return full, nil
}

func (p *pager) entries(ctx context.Context) ([]wallet.Entry, error) {
	before := int64(math.MaxInt64)
	if p.cursor.Position > 0 {
		before = p.cursor.Position
	}
	return collect(ctx, p.ledger.asked, func(row pgx.CollectableRow) (wallet.Entry, error) {
		e := wallet.Entry{Operation: wallet.Operation{WalletID: p.walletID}}
		err := row.Scan(&e.Position, &e.ID, &e.Type, &e.Amount, &e.AcceptedAt, &e.Receipt.Partition, &e.Receipt.Offset)
		e.AcceptedAt = e.AcceptedAt.UTC()
		return e, err
	}, selectWaiting, p.walletID, before, typeFilter(p.query.Type), p.room)
}

// numbered adds numbered operations: those below the cursor, or all that are there by now.
func (p *pager) numbered(ctx context.Context, top int64) error {
	first, end, err := p.period(ctx, top)
	if err != nil {
		return err
	}
	least, before := max(first, end-historyLook), end
	if end == top && p.cursor.Sequence == 0 {
		before = math.MaxInt64
	}
	ops, err := p.between(ctx, least, before)
	if err != nil {
		return err
	}
	next := wallet.Cursor{Position: p.cursor.Position}
	switch {
	case len(ops) == p.room:
		ops, next.Sequence = ops[:p.room-1], before
		if len(ops) > 0 {
			next.Sequence = ops[len(ops)-1].Sequence
		}
	case least > first:
		next.Sequence = least
	}
	if next.Sequence > 0 {
		p.page.Next = &next
	}
	p.page.Operations = append(without(p.page.Operations, ops), ops...)
	return nil
}

// between returns the newest operations with sequences in [least, before) that the query
// lets through, as many as there is room for.
func (p *pager) between(ctx context.Context, least, before int64) ([]wallet.Operation, error) {
	q := &p.query
	return collect(ctx, p.ledger.asked, scanOperation, selectHistory, p.walletID, before, statusFilter(q.Status), typeFilter(q.Type), timeFilter(q.From), timeFilter(q.To), p.room, least)
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

// wantsPending reports whether a PENDING operation can match q: one has no
// AppliedAt yet, so a time filter leaves it out.
func wantsPending(q wallet.Query) bool {
	return (q.Status == nil || *q.Status == wallet.Pending) && q.From.IsZero() && q.To.IsZero()
}

func statusFilter(s *wallet.Status) *int16 {
	if s == nil {
		return nil
	}
	return new(int16(*s))
}

func typeFilter(t wallet.Type) *int16 {
	if t == 0 {
		return nil
	}
	return new(int16(t))
}

// timeFilter rounds up to microseconds, as which times are kept: what is before t is before
// that too.
func timeFilter(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	if whole := t.Truncate(time.Microsecond); whole.Before(t) {
		t = whole.Add(time.Microsecond)
	}
	return &t
}
