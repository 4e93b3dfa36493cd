package importer

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/cmd/walletctl/internal/api"
	"github.com/walletd/walletd/cmd/walletctl/internal/statement"
)

// account is the import of one account, by one goroutine.
type account struct {
	*Importer
	rows    statement.Account
	compare bool
	wallet  uuid.UUID
	pending []pendingRow
	last    client.Operation // the settled operation of the highest sequence
	report  AccountReport
}

// pendingRow is a row that was accepted and whose outcome was not known in time.
type pendingRow struct {
	index    int
	location string
}

func newAccount(im *Importer, rows statement.Account, compare bool) *account {
	return &account{Importer: im, rows: rows, compare: compare,
		report: AccountReport{Account: rows.Name, Counts: Counts{Rows: len(rows.Rows)}}}
}

// run makes the wallet, sends the rows, waits for the outcomes that are open, and
// reads the balance. A row is sent after the one before it was accepted, which is
// all that their order needs.
func (a *account) run(ctx context.Context) error {
	if err := a.create(ctx); err != nil {
		return err
	}
	for i := range a.rows.Rows {
		goesOn, err := a.row(ctx, i)
		if err != nil {
			return err
		}
		a.report.Sent++
		a.accepted.Add(1)
		if !goesOn {
			break
		}
	}
	for len(a.pending) > 0 {
		if err := a.resolve(ctx, a.pending[0]); err != nil {
			return err
		}
		a.pending = a.pending[1:]
	}
	return a.balance(ctx)
}

func (a *account) create(ctx context.Context) error {
	return a.patience.retry(ctx, func(ctx context.Context) error {
		answer, err := a.api.Create(ctx, walletKey(a.config.Name, a.rows.Name))
		a.wallet = answer.Value.WalletID
		if err == nil {
			a.report.WalletID = a.wallet.String()
		}
		return err
	})
}

// row sends one row; goesOn is false if the next must not be sent.
func (a *account) row(ctx context.Context, i int) (goesOn bool, err error) {
	row := a.rows.Rows[i]
	request := client.OperationRequest{WalletID: a.wallet,
		OperationType: client.OperationType(row.Type.String()), Amount: int64(row.Amount)}
	var answer api.Answer[client.Outcome]
	err = a.patience.retry(ctx, func(ctx context.Context) (err error) {
		answer, err = a.api.Submit(ctx, request, rowKey(a.config.Name, row.ID), "")
		return err
	})
	if err != nil {
		return a.refused(i, err)
	}
	if answer.Replayed {
		a.report.Replayed++
	}
	if answer.Value.Operation.Status == client.Pending {
		a.report.AnsweredPending++
		a.pending = append(a.pending, pendingRow{i, answer.Location})
		return true, nil
	}
	a.settled(i, answer.Value.Operation)
	return true, nil
}

// refused notes a row that the service said no to; only an error that is not
// about this row is returned. A row that is not in the wallet's history ends the account:
// what came behind it would be before it for ever, once it is sent again.
func (a *account) refused(i int, err error) (goesOn bool, _ error) {
	var refusal *api.Refusal
	if !errors.As(err, &refusal) || refusal.Temporary() || refusal.Problem.Code == "" {
		return false, err
	}
	if refusal.Replayed {
		a.report.Replayed++
	}
	reused := refusal.Problem.Code == client.CodeIdempotencyKeyReused // its operation is what the row was once
	if op := refusal.Failed(); op != nil && !reused {
		a.settled(i, *op)
		return true, nil
	}
	a.report.Refused++
	a.report.fail(a.rows.Rows[i], string(refusal.Problem.Code), refusal.Problem.Detail)
	return reused, nil
}
