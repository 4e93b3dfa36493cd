package ledger

import (
	"context"

	"github.com/walletd/walletd/internal/wallet"
)

// hadOperation is an operation, if it is there.
type hadOperation struct {
	operation wallet.Operation
	found     bool
}

// Had returns an operation if the ledger has it. Requests that come at the same time share
// a statement.
func (l *Ledger) Had(ctx context.Context, k wallet.Key) (op wallet.Operation, found bool, err error) {
	a, err := l.had.ask(ctx, k, l.lookUpOperations)
	return a.operation, a.found, err
}

func (l *Ledger) lookUpOperations(keys []wallet.Key) ([]hadOperation, error) {
	ops, err := l.Outcomes(context.Background(), keys)
	if err != nil {
		return nil, err
	}
	there := make(map[wallet.Key]wallet.Operation, len(ops))
	for _, op := range ops {
		there[op.Key()] = op
	}
	all := make([]hadOperation, len(keys))
	for i, k := range keys {
		all[i].operation, all[i].found = there[k]
	}
	return all, nil
}
