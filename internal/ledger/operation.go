package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/wallet"
)

const operationColumns = `o.wallet_id, o.operation_id, o.sequence, o.type, o.amount, o.status, o.reason, o.origin,
	o.balance_after, o.accepted_at, o.applied_at, o.partition, o.journal_offset`

// creationColumns are the creation of a wallet in the form of an operation, with the
// wallet's own id.
const creationColumns = `w.id, w.id, NULL::bigint, 0::smallint, 0::bigint, 1::smallint, 0::smallint, 0::smallint,
	NULL::bigint, w.created_at, w.created_at, NULL::integer, NULL::bigint`

// madeColumns are the same with what the wallet is at now.
const madeColumns = `w.id, w.id, w.version, 0::smallint, 0::bigint, 1::smallint, 0::smallint, 0::smallint,
	w.balance, w.created_at, w.updated_at, NULL::integer, NULL::bigint`

// walletColumns are a wallet in the form of an operation: what it is at, and no id.
const walletColumns = `w.id, NULL::uuid, w.version, NULL::smallint, NULL::bigint, NULL::smallint, NULL::smallint, NULL::smallint,
	w.balance, NULL::timestamptz, w.updated_at, NULL::integer, NULL::bigint`

// operationRow receives operationColumns; every column may be null, for unions
// and outer joins.
type operationRow struct {
	walletID, id                   *uuid.UUID
	sequence, balance, offset      *int64
	amount                         *int64
	opType, status, reason, origin *int16
	accepted, applied              *time.Time
	partition                      *int32
}

func (r *operationRow) targets() []any {
	return []any{&r.walletID, &r.id, &r.sequence, &r.opType, &r.amount, &r.status, &r.reason, &r.origin,
		&r.balance, &r.accepted, &r.applied, &r.partition, &r.offset}
}

func (r *operationRow) operation() wallet.Operation {
	return wallet.Operation{
		ID: value(r.id), WalletID: value(r.walletID),
		Type: wallet.Type(value(r.opType)), Amount: wallet.Amount(value(r.amount)),
		AcceptedAt: value(r.accepted).UTC(), AppliedAt: value(r.applied).UTC(),
		Receipt: receipt(r.partition, r.offset),
		Status:  wallet.Status(value(r.status)), Reason: wallet.Reason(value(r.reason)), Origin: wallet.Origin(value(r.origin)),
		Sequence: value(r.sequence), BalanceAfter: wallet.Amount(value(r.balance)),
	}
}

func receipt(partition *int32, offset *int64) wallet.Receipt {
	if partition == nil || offset == nil {
		return wallet.NoReceipt
	}
	return wallet.Receipt{Partition: *partition, Offset: *offset}
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func scanOperation(row pgx.CollectableRow) (wallet.Operation, error) {
	var r operationRow
	err := row.Scan(r.targets()...)
	return r.operation(), err
}

// Each operation and wallet is looked up by its key, whatever the statistics say of the
// tables.
const selectOutcomes = `
SELECT o.* FROM unnest($1::uuid[], $2::uuid[]) AS k (wallet_id, operation_id),
	LATERAL (SELECT ` + operationColumns + ` FROM operations o WHERE o.wallet_id = k.wallet_id AND o.operation_id = k.operation_id OFFSET 0) AS o
UNION ALL
SELECT ` + madeColumns + ` FROM (SELECT wallet_id FROM unnest($1::uuid[], $2::uuid[]) AS k (wallet_id, operation_id) WHERE operation_id = wallet_id) AS k,
	LATERAL (SELECT * FROM wallets WHERE id = k.wallet_id OFFSET 0) AS w`

// Outcomes returns those of the given operations that the ledger has. The id of a
// wallet asks for its creation, which is returned with what the wallet is at now. Requests
// that ask for one operation each, at the same time, share a statement; a bulk has its own.
func (l *Ledger) Outcomes(ctx context.Context, keys []wallet.Key) ([]wallet.Operation, error) {
	if len(keys) != 1 {
		return l.outcomes(ctx, keys)
	}
	op, found, err := l.operations.get(ctx, keys[0])
	if err != nil || !found {
		return nil, err
	}
	return []wallet.Operation{op}, nil
}

func (l *Ledger) outcomes(ctx context.Context, keys []wallet.Key) ([]wallet.Operation, error) {
	walletIDs, ids := keyColumns(keys)
	return collect(ctx, l.asked, scanOperation, selectOutcomes, walletIDs, ids)
}

// A backfill is requeued for what a restored ledger lacks.
const selectOperation = `
SELECT ` + operationColumns + `, r.type, r.amount, r.accepted_at, r.partition, r.journal_offset,
	(SELECT next_offset FROM journal_offsets JOIN journal USING (topic_id) WHERE partition = $3)
FROM (VALUES (1)) AS one
LEFT JOIN operations o ON o.wallet_id = $1 AND o.operation_id = $2
LEFT JOIN LATERAL (SELECT * FROM requeued WHERE wallet_id = $1 AND operation_id = $2 AND kind <> 2 ORDER BY position LIMIT 1) r ON true`

// Operation returns an operation: as the ledger has it, or PENDING while it is
// requeued. When it is neither there nor on a list it is nil, and next is how far the ledger
// has come in the partition (0 if it has not begun): operation, list and offset are read in
// one statement, so an operation whose receipt lies below next is not on its way.
func (l *Ledger) Operation(ctx context.Context, key wallet.Key, partition int32) (op *wallet.Operation, next int64, err error) {
	var row, waiting operationRow
	var reached *int64
	targets := append(row.targets(), &waiting.opType, &waiting.amount, &waiting.accepted, &waiting.partition, &waiting.offset, &reached)
	if err := l.asked.row(ctx, targets, selectOperation, key.WalletID, key.ID, partition); err != nil {
		return nil, 0, err
	}
	switch {
	case row.id != nil:
		found := row.operation()
		return &found, 0, nil
	case waiting.opType != nil:
		waiting.walletID, waiting.id = &key.WalletID, &key.ID
		found := waiting.operation()
		return &found, 0, nil
	}
	return nil, value(reached), nil
}

// lookUpOperations reads operations in one statement; one that the ledger lacks is left out.
func (l *Ledger) lookUpOperations(keys []wallet.Key) (map[wallet.Key]wallet.Operation, error) {
	ops, err := l.outcomes(context.Background(), keys)
	all := make(map[wallet.Key]wallet.Operation, len(ops))
	for _, op := range ops {
		all[op.Key()] = op
	}
	return all, err
}
