package importer

import (
	"context"
	"errors"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/internal/wallet"
)

// errPending is an outcome that is not known yet: asking again is worth it, and no progress.
var errPending = errors.New("accepted operations are still PENDING")

// resolve follows a row's Location until its outcome is known, or patience ends.
func (a *account) resolve(ctx context.Context, p pendingRow) error {
	return a.patience.retry(ctx, func(ctx context.Context) error {
		answer, err := a.api.Follow(ctx, p.location)
		if err != nil {
			return err
		}
		if answer.Value.Status == client.Pending {
			return errPending
		}
		a.report.Resolved++
		a.settled(p.index, answer.Value)
		return nil
	})
}

// settled notes a row's outcome and compares the balance after it with the file's.
func (a *account) settled(i int, op client.Operation) {
	if op.Status == client.Applied {
		a.report.Applied++
	} else {
		a.report.Failed++
		a.report.fail(a.rows.Rows[i], reason(op), "")
	}
	if op.Sequence != nil && (a.last.Sequence == nil || *op.Sequence > *a.last.Sequence) {
		a.last = op
	}
	if a.compare {
		a.check(i, op)
	}
}

func reason(op client.Operation) string {
	if op.Reason == nil {
		return "no_reason_given"
	}
	return string(*op.Reason)
}

// balance reads the wallet as it is after the last row.
func (a *account) balance(ctx context.Context) error {
	sequence := int64(0)
	if a.last.Sequence != nil {
		sequence = *a.last.Sequence
	}
	return a.patience.retry(ctx, func(ctx context.Context) error {
		answer, err := a.api.Wallet(ctx, a.wallet, sequence, false)
		if err != nil {
			return err
		}
		w := answer.Value
		a.report.Balance, a.report.Sequence, a.report.complete = &w.Balance, w.Sequence, true
		if w.Sequence == sequence && a.last.BalanceAfter != nil && *a.last.BalanceAfter != w.Balance {
			a.report.differ(Difference{Detail: "the wallet's balance is not the one after its last operation",
				Balance: wallet.Amount(w.Balance), Want: wallet.Amount(*a.last.BalanceAfter)})
		}
		return nil
	})
}
