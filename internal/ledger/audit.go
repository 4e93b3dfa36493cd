package ledger

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/wallet"
)

// What an audit reads. All of it is by index, in pages, each page one statement
// and so of one moment; nothing is locked.

const selectWallets = `SELECT id, balance, version, updated_at FROM wallets WHERE id > $1 ORDER BY id LIMIT $2`

// Wallets returns up to limit wallets with an id above after, by id.
func (l *Ledger) Wallets(ctx context.Context, after uuid.UUID, limit int) ([]wallet.Wallet, error) {
	return collect(ctx, l.commits, func(row pgx.CollectableRow) (w wallet.Wallet, err error) {
		return w, row.Scan(&w.ID, &w.Balance, &w.Sequence, &w.UpdatedAt)
	}, selectWallets, after, limit)
}

const selectSince = `
SELECT 0, ` + walletColumns + `
FROM unnest($1::uuid[]) AS k (id) JOIN wallets w ON w.id = k.id
UNION ALL
SELECT 1, ` + operationColumns + ` FROM unnest($1::uuid[], $2::bigint[]) AS k (id, sequence)
CROSS JOIN LATERAL (SELECT * FROM operations o WHERE o.wallet_id = k.id AND o.sequence > k.sequence ORDER BY o.sequence LIMIT $3) o
ORDER BY 1, 2, 4`

// Since returns the wallets as they are, those that exist, and of each up to limit
// operations above the given sequence, by wallet and sequence.
func (l *Ledger) Since(ctx context.Context, from []wallet.Wallet, limit int) ([]wallet.Wallet, []wallet.Operation, error) {
	ids, sequences := places(from)
	return l.walletsWith(ctx, selectSince, ids, sequences, limit)
}

const selectBalancesAt = `
SELECT 0, ` + walletColumns + `
FROM unnest($1::uuid[]) AS k (id) JOIN wallets w ON w.id = k.id
UNION ALL
SELECT 1, ` + operationColumns + ` FROM unnest($1::uuid[], $2::bigint[]) AS k (id, sequence)
JOIN operations o ON o.wallet_id = k.id AND o.sequence = k.sequence`

// BalancesAt returns the wallets as they are, and the operations with the given
// sequences.
func (l *Ledger) BalancesAt(ctx context.Context, at []wallet.Wallet) ([]wallet.Wallet, []wallet.Operation, error) {
	ids, sequences := places(at)
	return l.walletsWith(ctx, selectBalancesAt, ids, sequences)
}

func places(at []wallet.Wallet) (ids []uuid.UUID, sequences []int64) {
	ids, sequences = make([]uuid.UUID, len(at)), make([]int64, len(at))
	for i, w := range at {
		ids[i], sequences[i] = w.ID, w.Sequence
	}
	return ids, sequences
}

func (l *Ledger) walletsWith(ctx context.Context, query string, args ...any) (wallets []wallet.Wallet, ops []wallet.Operation, err error) {
	var kind int
	var r operationRow
	err = l.commits.each(ctx, append([]any{&kind}, r.targets()...), func() {
		op := r.operation()
		if kind == 1 {
			ops = append(ops, op)
			return
		}
		wallets = append(wallets, wallet.Wallet{ID: op.WalletID, UpdatedAt: op.AppliedAt,
			State: wallet.State{Balance: op.BalanceAfter, Sequence: op.Sequence}})
	}, query, args...)
	return wallets, ops, err
}

// The wallets that have operations, one index look-up each: their operations are
// never walked.
const selectStrays = `
WITH RECURSIVE busy AS (
	(SELECT wallet_id, 1 AS n FROM operations WHERE wallet_id > $1 ORDER BY wallet_id LIMIT 1)
	UNION ALL
	SELECT (SELECT o.wallet_id FROM operations o WHERE o.wallet_id > busy.wallet_id ORDER BY o.wallet_id LIMIT 1), n + 1
	FROM busy WHERE busy.wallet_id IS NOT NULL AND n < $2)
SELECT busy.wallet_id, ` + operationColumns + ` FROM busy
LEFT JOIN LATERAL (
	SELECT * FROM operations s WHERE s.wallet_id = busy.wallet_id AND s.sequence IS NULL
	UNION ALL
	(SELECT * FROM operations s WHERE s.wallet_id = busy.wallet_id AND s.sequence IS NOT NULL
		AND NOT EXISTS (SELECT 1 FROM wallets w WHERE w.id = busy.wallet_id) ORDER BY s.sequence LIMIT 1000)) o ON true
WHERE busy.wallet_id IS NOT NULL
ORDER BY busy.wallet_id, o.sequence NULLS FIRST`

// Strays looks at the next limit wallets above after that have operations, and
// returns those operations that have no sequence, or (the first 1000) whose wallet
// does not exist. next is Nil at the end.
func (l *Ledger) Strays(ctx context.Context, after uuid.UUID, limit int) (strays []wallet.Operation, next uuid.UUID, err error) {
	var id uuid.UUID
	var r operationRow
	seen := 0
	err = l.commits.each(ctx, append([]any{&id}, r.targets()...), func() {
		if id != next {
			seen, next = seen+1, id
		}
		if r.id != nil {
			strays = append(strays, r.operation())
		}
	}, selectStrays, after, limit)
	if seen < limit {
		next = uuid.Nil
	}
	return strays, next, err
}

const selectLists = `
WITH aside AS (
	SELECT wallet_id FROM requeued WHERE wallet_id > $1 UNION SELECT wallet_id FROM requeued_lists WHERE wallet_id > $1
	ORDER BY 1 LIMIT $2)
SELECT wallet_id, coalesce(partition, -1), coalesce(length, 0), (SELECT count(*) FROM requeued r WHERE r.wallet_id = aside.wallet_id)
FROM aside LEFT JOIN requeued_lists USING (wallet_id) ORDER BY 1`

// Lists returns the next limit wallets above after that have a requeued list, or a part
// of one.
func (l *Ledger) Lists(ctx context.Context, after uuid.UUID, limit int) ([]wallet.ListAudit, error) {
	return collect(ctx, l.commits, func(row pgx.CollectableRow) (s wallet.ListAudit, err error) {
		return s, row.Scan(&s.WalletID, &s.Partition, &s.Length, &s.Entries)
	}, selectLists, after, limit)
}

const selectAwaitingBackfill = `
SELECT u.wallet_id, u.operation_id FROM unnest($1::uuid[], $2::uuid[]) AS k (wallet_id, operation_id)
JOIN unjournaled u ON u.wallet_id = k.wallet_id AND u.operation_id = k.operation_id`

// AwaitingBackfill returns which of the operations wait for their backfill record.
func (l *Ledger) AwaitingBackfill(ctx context.Context, keys []wallet.Key) ([]wallet.Key, error) {
	walletIDs, ids := keyColumns(keys)
	return collect(ctx, l.commits, scanKey, selectAwaitingBackfill, walletIDs, ids)
}
