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

// operationRow receives operationColumns; every column may be null, for unions
// and outer joins.
type operationRow struct {
	walletID, id                 *uuid.UUID
	sequence, balance, offset    *int64
	amount                       *int64
	kind, status, reason, origin *int16
	accepted, applied            *time.Time
	partition                    *int32
}

func (r *operationRow) targets() []any {
	return []any{&r.walletID, &r.id, &r.sequence, &r.kind, &r.amount, &r.status, &r.reason, &r.origin,
		&r.balance, &r.accepted, &r.applied, &r.partition, &r.offset}
}

func (r *operationRow) operation() wallet.Operation {
	return wallet.Operation{
		ID: value(r.id), WalletID: value(r.walletID),
		Type: wallet.Type(value(r.kind)), Amount: wallet.Amount(value(r.amount)),
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
// wallet asks for its creation, which is returned with what the wallet is at now.
func (l *Ledger) Outcomes(ctx context.Context, keys []wallet.Key) ([]wallet.Operation, error) {
	ctx, cancel, err := l.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	walletIDs, ids := keyColumns(keys)
	rows, err := l.reads.Query(ctx, selectOutcomes, walletIDs, ids)
	if err != nil {
		return nil, l.classified(err)
	}
	ops, err := pgx.CollectRows(rows, scanOperation)
	return ops, l.classified(err)
}
