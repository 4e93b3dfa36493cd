package rival

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walletd/walletd/internal/wallet"
)

// rowLock applies an operation under SELECT … FOR UPDATE: one transaction each, in
// which the others of the wallet wait.
type rowLock struct{ pool *pgxpool.Pool }

func (l rowLock) apply(ctx context.Context, op wallet.Operation) (d done, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		var s wallet.State
		err := tx.QueryRow(ctx, `SELECT balance, version FROM wallets WHERE id = $1 FOR UPDATE`, op.WalletID).Scan(&s.Balance, &s.Sequence)
		if errors.Is(err, pgx.ErrNoRows) {
			return errUnknownWallet
		}
		if err != nil {
			return err
		}
		s, op = wallet.Apply(s, op, op.AcceptedAt)
		d = done{Sequence: s.Sequence, Balance: int64(s.Balance), Failed: op.Status == wallet.Failed}
		tag, err := tx.Exec(ctx, `INSERT INTO operations (wallet_id, operation_id, sequence, type, amount, status, balance_after)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (wallet_id, operation_id) DO NOTHING`,
			op.WalletID, op.ID, s.Sequence, int16(op.Type), int64(op.Amount), int16(op.Status), int64(s.Balance))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			d, err = stored(ctx, tx, op)
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE wallets SET balance = $2, version = $3 WHERE id = $1`, op.WalletID, int64(s.Balance), s.Sequence)
		return err
	})
	return d, err
}

// querier is a transaction or a pool.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// stored reads what an earlier request with the same key got.
func stored(ctx context.Context, q querier, op wallet.Operation) (d done, err error) {
	err = q.QueryRow(ctx, `SELECT sequence, balance_after, status = 2 FROM operations WHERE wallet_id = $1 AND operation_id = $2`,
		op.WalletID, op.ID).Scan(&d.Sequence, &d.Balance, &d.Failed)
	return d, err
}
