package importer

import (
	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/internal/wallet"
)

// Agreement says how an account's balances compare with the file's, row by row.
type Agreement string

// The agreements.
const (
	Exact      Agreement = "exact"            // every row's balance is the file's
	Within     Agreement = "within_tolerance" // at no row further off than the tolerance for the rows so far
	Differs    Agreement = "differs"
	Incomplete Agreement = "incomplete" // no difference in what is known, which is not all
)

// Difference is a row whose balance is further from the file's than tolerated.
type Difference struct {
	Line    int           `json:"line,omitempty"`
	ID      string        `json:"id,omitempty"`
	Balance wallet.Amount `json:"balance"`
	Want    wallet.Amount `json:"want"`
	Detail  string        `json:"detail,omitempty"`
}

// check compares the balance after a settled row with the file's.
func (a *account) check(i int, op client.Operation) {
	row := a.rows.Rows[i]
	if op.BalanceAfter == nil {
		a.report.differ(Difference{Line: row.Line, ID: row.ID, Want: row.Balance, Detail: "no balance was answered"})
		return
	}
	balance := wallet.Amount(*op.BalanceAfter)
	off := max(balance-row.Balance, row.Balance-balance)
	a.report.compared++
	a.report.LargestDifference = max(a.report.LargestDifference, off)
	if off > a.tolerated(i) {
		a.report.differ(Difference{Line: row.Line, ID: row.ID, Balance: balance, Want: row.Balance})
	}
}

// tolerated is how far off the account may be after its row i. Every balance and
// tolerance fits, so an account too long for the product is a tolerance of all.
func (a *account) tolerated(i int) wallet.Amount {
	rows := wallet.Amount(i + 1)
	if a.config.Tolerance > wallet.MaxAmount/rows {
		return wallet.MaxAmount
	}
	return a.config.Tolerance * rows
}

// agreement sums an account up.
func (a *account) agreement() Agreement {
	switch {
	case !a.compare:
		return ""
	case a.report.FirstDifference != nil:
		return Differs
	case !a.report.complete || a.report.compared < len(a.rows.Rows):
		return Incomplete
	case a.report.LargestDifference > 0:
		return Within
	}
	return Exact
}

// finish closes the account's report.
func (a *account) finish() AccountReport {
	a.report.Unresolved = len(a.pending)
	a.report.Agreement = a.agreement()
	if a.compare {
		a.report.OpeningBalance = a.rows.OpeningBalance()
	}
	return a.report
}
