package ledger

import (
	"context"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// OFFSET 0 keeps each subquery one look into an index, whatever the statistics say.
const selectLost = `
SELECT k.wallet_id, k.operation_id
FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bigint[]) AS k (wallet_id, operation_id, partition, journal_offset)
WHERE (k.journal_offset < 0 OR EXISTS (SELECT 1 FROM journal_offsets j JOIN journal USING (topic_id)
		WHERE j.partition = k.partition AND j.next_offset > k.journal_offset OFFSET 0))
	AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.wallet_id = k.wallet_id AND o.operation_id = k.operation_id OFFSET 0)
	AND NOT EXISTS (SELECT 1 FROM requeued r WHERE r.wallet_id = k.wallet_id AND r.operation_id = k.operation_id OFFSET 0)
	AND NOT (k.operation_id = k.wallet_id AND EXISTS (SELECT 1 FROM wallets w WHERE w.id = k.wallet_id OFFSET 0))`

// Lost returns those of the operations and creations that the ledger does not have, not on
// a list either, though it has passed their record, or though they have none in the journal
// that it follows: as of one moment. Nobody is going to apply them.
func (l *Ledger) Lost(ctx context.Context, placed []wallet.Placed) ([]wallet.Key, error) {
	n := len(placed)
	walletIDs, ids, partitions, offsets := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]int32, n), make([]int64, n)
	for i, p := range placed {
		walletIDs[i], ids[i], partitions[i], offsets[i] = p.WalletID, p.ID, p.Receipt.Partition, p.Receipt.Offset
	}
	return collect(ctx, l.reads, scanKey, selectLost, walletIDs, ids, partitions, offsets)
}
