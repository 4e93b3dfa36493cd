package rival

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walletd/walletd/internal/wallet"
)

// atomic applies an operation in one statement: one round trip and one commit each.
type atomic struct{ pool *pgxpool.Pool }

const applyAtOnce = `
WITH w AS (
	UPDATE wallets SET
		balance = CASE WHEN balance + $3 >= 0 THEN balance + $3 ELSE balance END,
		refused = balance + $3 < 0,
		version = version + 1
	WHERE id = $1 RETURNING balance, version, refused)
INSERT INTO operations (wallet_id, operation_id, sequence, type, amount, status, balance_after)
SELECT $1, $2, version, $4, abs($3), CASE WHEN refused THEN 2 ELSE 1 END, balance FROM w
RETURNING sequence, balance_after, status = 2`

// uniqueViolation is the SQLSTATE of a key that is there already.
const uniqueViolation = "23505"

func (a atomic) apply(ctx context.Context, op wallet.Operation) (d done, err error) {
	delta := int64(op.Amount)
	if op.Type == wallet.Withdraw {
		delta = -delta
	}
	err = a.pool.QueryRow(ctx, applyAtOnce, op.WalletID, op.ID, delta, int16(op.Type)).Scan(&d.Sequence, &d.Balance, &d.Failed)
	var refused *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return d, errUnknownWallet
	case errors.As(err, &refused) && refused.Code == uniqueViolation:
		return stored(ctx, a.pool, op)
	}
	return d, err
}
