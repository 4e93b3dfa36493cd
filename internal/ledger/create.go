package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Create inserts a wallet with a zero state, which a create record will follow, or
// returns the one that is already there under this id. created says whether this
// request made it: a record of it may have come first.
func (l *Ledger) Create(ctx context.Context, id uuid.UUID, at time.Time) (w wallet.Wallet, created bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.config.ReadTimeout) // of both statements
	defer cancel()
	inserted, err := l.asked.exec(ctx, `
		INSERT INTO wallets (id, balance, version, created_at, updated_at) VALUES ($1, 0, 0, $2, $2)
		ON CONFLICT DO NOTHING`, id, at)
	if err != nil {
		return w, false, err
	}
	if inserted == 1 {
		return wallet.Wallet{ID: id, UpdatedAt: at}, true, nil
	}
	w.ID = id
	err = l.asked.row(ctx, []any{&w.Balance, &w.Sequence, &w.UpdatedAt, &created},
		`SELECT balance, version, updated_at, created_at = $2 FROM wallets WHERE id = $1`, id, at)
	w.UpdatedAt = w.UpdatedAt.UTC()
	return w, created, err
}
