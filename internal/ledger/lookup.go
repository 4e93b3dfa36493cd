package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/walletd/walletd/internal/wallet"
)

// Each wallet is looked up by its key, whatever the statistics say of the table.
const lookUpWallets = `
SELECT w.* FROM unnest($1::uuid[]) AS asked (id),
	LATERAL (SELECT id, balance, version, updated_at FROM wallets WHERE wallets.id = asked.id OFFSET 0) AS w`

// lookedUp is a wallet, if it is there.
type lookedUp struct {
	wallet wallet.Wallet
	found  bool
}

// Wallet returns a wallet as the ledger has it; a *wallet.Error with
// CodeWalletNotFound if there is none. What it returns was read after it was called.
// Requests that come at the same time share a statement.
func (l *Ledger) Wallet(ctx context.Context, id uuid.UUID) (wallet.Wallet, error) {
	a, err := l.lookups.ask(ctx, id, l.lookUp)
	if a.wallet.ID = id; err == nil && !a.found {
		err = &wallet.Error{Code: wallet.CodeWalletNotFound, Detail: "there is no wallet " + id.String()}
	}
	return a.wallet, err
}

// lookUp reads wallets in one statement.
func (l *Ledger) lookUp(ids []uuid.UUID) ([]lookedUp, error) {
	ctx, cancel, err := l.reading(context.Background())
	if err != nil {
		return nil, err
	}
	defer cancel()
	asked := newArray(pgtype.UUIDOID, len(ids), 16)
	for _, id := range ids {
		asked.addID(id)
	}
	rows, err := l.reads.Query(ctx, lookUpWallets, asked)
	if err != nil {
		return nil, l.done(err)
	}
	there := make(map[uuid.UUID]wallet.Wallet, len(ids))
	var w wallet.Wallet
	var at time.Time
	if _, err = pgx.ForEachRow(rows, []any{&w.ID, &w.Balance, &w.Sequence, &at}, func() error {
		w.UpdatedAt = at.UTC()
		there[w.ID] = w
		return nil
	}); err != nil {
		return nil, l.done(err)
	}
	all := make([]lookedUp, len(ids))
	for i, id := range ids {
		all[i].wallet, all[i].found = there[id]
	}
	return all, nil
}
