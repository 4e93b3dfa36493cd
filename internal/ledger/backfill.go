package ledger

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/wallet"
)

// The order is that of unjournaled's own index: read off operations it would pass
// every journaled operation of a wallet to find the few that are not. A creation has
// the sequence 0 there.
const selectUnjournaled = `SELECT wallet_id, operation_id FROM unjournaled WHERE wallet_id > $1 ORDER BY wallet_id, sequence LIMIT $2`

// Unjournaled returns the keys of up to limit direct operations and creations of wallets
// whose record the journal has not acknowledged yet, by wallet, of those beyond the given
// one; a wallet's creation, with the wallet's own id, comes before what has a sequence. It
// reads nothing of the wallets' own rows.
func (l *Ledger) Unjournaled(ctx context.Context, beyond uuid.UUID, limit int) ([]wallet.Key, error) {
	return collect(ctx, l.reads, scanKey, selectUnjournaled, beyond, limit)
}

func scanKey(row pgx.CollectableRow) (k wallet.Key, err error) {
	return k, row.Scan(&k.WalletID, &k.ID)
}

// Each operation and wallet is looked up by its key, whatever the statistics say of the
// tables.
const selectBackfills = `
SELECT o.* FROM unnest($1::uuid[], $2::uuid[]) AS k (wallet_id, operation_id),
	LATERAL (SELECT ` + operationColumns + ` FROM operations o WHERE o.wallet_id = k.wallet_id AND o.operation_id = k.operation_id OFFSET 0) AS o
UNION ALL
SELECT ` + creationColumns + ` FROM (SELECT wallet_id FROM unnest($1::uuid[], $2::uuid[]) AS k (wallet_id, operation_id) WHERE operation_id = wallet_id) AS k,
	LATERAL (SELECT * FROM wallets WHERE id = k.wallet_id OFFSET 0) AS w
ORDER BY 1, 3 NULLS FIRST`

// Backfills returns what Unjournaled has named, as backfill records have it, in the
// same order.
func (l *Ledger) Backfills(ctx context.Context, keys []wallet.Key) ([]wallet.Operation, error) {
	walletIDs, ids := keyColumns(keys)
	return collect(ctx, l.reads, scanOperation, selectBackfills, walletIDs, ids)
}

const deleteUnjournaled = `
DELETE FROM unjournaled u USING unnest($1::uuid[], $2::uuid[]) AS done (wallet_id, operation_id)
WHERE u.wallet_id = done.wallet_id AND u.operation_id = done.operation_id`

// Journaled notes that the journal has acknowledged the backfill records of these
// operations, and the create records of these wallets.
func (l *Ledger) Journaled(ctx context.Context, keys []wallet.Key) error {
	walletIDs, ids := keyColumns(keys)
	_, err := l.reads.exec(ctx, deleteUnjournaled, walletIDs, ids)
	return err
}
