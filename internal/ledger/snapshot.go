package ledger

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/wallet"
)

// selectSnapshot reads wallets, operations and requeued entries as of one moment:
// at READ COMMITTED one statement has one snapshot, so which ids the ledger has
// agrees with the versions read beside them.
const selectSnapshot = `
WITH listed AS MATERIALIZED (
	SELECT r.* FROM unnest($4::uuid[]) AS l (id)
	CROSS JOIN LATERAL (SELECT * FROM requeued r WHERE r.wallet_id = l.id ORDER BY r.position LIMIT $5) r)
SELECT 0, ` + walletColumns + `
FROM unnest($1::uuid[]) AS k (id) JOIN wallets w ON w.id = k.id
UNION ALL
SELECT 1, ` + operationColumns + `
FROM unnest($2::uuid[], $3::uuid[]) AS k (wallet_id, operation_id)
JOIN operations o ON o.wallet_id = k.wallet_id AND o.operation_id = k.operation_id
UNION ALL
SELECT 1, ` + operationColumns + `
FROM listed l JOIN operations o ON o.wallet_id = l.wallet_id AND o.operation_id = l.operation_id
UNION ALL
SELECT 2, l.wallet_id, l.operation_id, l.position, l.type, l.amount, l.kind, NULL, NULL,
	NULL, l.accepted_at, NULL, l.partition, l.journal_offset
FROM listed l
ORDER BY 1, 4`

// Read returns, as of one moment, the given wallets, which of the given
// operations the ledger has, and the first q.EntriesPerList entries of the given wallets'
// requeued lists with which of those the ledger has. What it does not return does
// not exist.
func (l *Ledger) Read(ctx context.Context, q wallet.SnapshotQuery) (wallet.Snapshot, error) {
	walletIDs, ids := keyColumns(q.Operations)
	s := wallet.Snapshot{
		Wallets:    make(map[uuid.UUID]wallet.State, len(q.Wallets)),
		Operations: make(map[wallet.Key]wallet.Operation),
		Entries:    make(map[uuid.UUID][]wallet.Entry),
	}
	var kind int
	var r operationRow
	err := l.commits.each(ctx, append([]any{&kind}, r.targets()...), func() { addRow(&s, kind, &r) },
		selectSnapshot, q.Wallets, walletIDs, ids, q.Lists, q.EntriesPerList)
	return s, err
}

func addRow(s *wallet.Snapshot, kind int, r *operationRow) {
	op := r.operation()
	switch kind {
	case 0:
		s.Wallets[op.WalletID] = wallet.State{Balance: op.BalanceAfter, Sequence: op.Sequence}
	case 1:
		s.Operations[op.Key()] = op
	case 2:
		e := wallet.Entry{Position: op.Sequence, Kind: wallet.Kind(op.Status), Operation: op}
		e.Sequence, e.Status = 0, wallet.Pending
		s.Entries[op.WalletID] = append(s.Entries[op.WalletID], e)
	}
}

// The rows that nobody holds are locked until the statement ends; those that it skips are held.
const selectLocked = `
WITH free AS MATERIALIZED (
	SELECT w.id FROM wallets w WHERE w.id = ANY($1::uuid[]) FOR NO KEY UPDATE SKIP LOCKED)
SELECT k.id FROM unnest($1::uuid[]) AS k (id) JOIN wallets w ON w.id = k.id
WHERE NOT EXISTS (SELECT 1 FROM free WHERE free.id = k.id)`

// Locked returns which of the wallets somebody else holds locked at this moment.
func (l *Ledger) Locked(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	return collect(ctx, l.commits, pgx.RowTo[uuid.UUID], selectLocked, ids)
}
