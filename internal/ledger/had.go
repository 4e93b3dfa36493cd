package ledger

import (
	"context"

	"github.com/walletd/walletd/internal/wallet"
)

// Had returns an operation if the ledger has it. Requests that come at the same time share
// a statement.
func (l *Ledger) Had(ctx context.Context, k wallet.Key) (op wallet.Operation, found bool, err error) {
	return l.had.ask(ctx, k, func(keys []wallet.Key) (map[wallet.Key]wallet.Operation, error) {
		ops, err := l.Outcomes(context.Background(), keys)
		all := make(map[wallet.Key]wallet.Operation, len(ops))
		for _, op := range ops {
			all[op.Key()] = op
		}
		return all, err
	})
}
