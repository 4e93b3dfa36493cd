package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Each wallet is looked up by its key, whatever the statistics say of the table.
const selectWalletsByKey = `
SELECT w.* FROM unnest($1::uuid[]) AS asked (id),
	LATERAL (SELECT id, balance, version, updated_at FROM wallets WHERE wallets.id = asked.id OFFSET 0) AS w`

// Wallet returns a wallet as the ledger has it; a *wallet.Error with
// CodeWalletNotFound if there is none. What it returns was read after it was called.
// Requests that come at the same time share a statement.
func (l *Ledger) Wallet(ctx context.Context, id uuid.UUID) (wallet.Wallet, error) {
	w, found, err := l.wallets.get(ctx, id)
	if w.ID = id; err == nil && !found {
		err = &wallet.Error{Code: wallet.CodeWalletNotFound, Detail: "there is no wallet " + id.String()}
	}
	return w, err
}

// lookUpWallets reads wallets in one statement; one that does not exist is left out.
func (l *Ledger) lookUpWallets(ids []uuid.UUID) (map[uuid.UUID]wallet.Wallet, error) {
	asked := newIDs(len(ids))
	for _, id := range ids {
		asked.addID(id)
	}
	all := make(map[uuid.UUID]wallet.Wallet, len(ids))
	var w wallet.Wallet
	var at time.Time
	err := l.asked.each(context.Background(), []any{&w.ID, &w.Balance, &w.Sequence, &at}, func() {
		w.UpdatedAt = at.UTC()
		all[w.ID] = w
	}, selectWalletsByKey, asked)
	return all, err
}
