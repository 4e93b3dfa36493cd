package statement

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/walletd/walletd/internal/wallet"
)

// places says at which field of a row each column is.
type places struct {
	id, account, kind, amount, balance int
	names                              []string
}

// place finds the columns in a header, or says which are missing or there twice.
func place(header []string, columns Columns) (places, Faults) {
	var faults Faults
	find := func(name string) int {
		at, count := -1, 0
		for i, title := range header {
			if title == name {
				at, count = i, count+1
			}
		}
		if count != 1 {
			faults = append(faults, Fault{Line: 1, Name: name, Detail: headerDetail(count, header)})
		}
		return at
	}
	p := places{names: slices.Clone(header)}
	p.id, p.account = find(columns.ID), find(columns.Account)
	p.kind, p.amount = find(columns.Type), find(columns.Amount)
	if columns.Balance != "" {
		p.balance = find(columns.Balance)
	}
	return p, faults
}

func headerDetail(count int, header []string) string {
	if count == 0 {
		return "no such column; the file has " + strings.Join(header, ", ")
	}
	return fmt.Sprintf("%d columns have this name", count)
}

// parse reads a row's fields and notes what is wrong with each of them.
func (r *reader) parse(line int, record []string) Row {
	row := Row{Line: line, ID: strings.Clone(record[r.at.id])}
	if row.ID == "" {
		r.fault(r.at.id, "is empty")
	}
	if record[r.at.account] == "" {
		r.fault(r.at.account, "is empty")
	}
	row.Type = r.kind(record[r.at.kind])
	row.Amount = r.amount(record[r.at.amount])
	if r.result.HasBalances {
		row.Balance = r.balance(record[r.at.balance])
	}
	return row
}

func (r *reader) kind(value string) wallet.Type {
	switch value {
	case r.columns.Deposit:
		return wallet.Deposit
	case r.columns.Withdraw:
		return wallet.Withdraw
	}
	r.fault(r.at.kind, fmt.Sprintf("%q is neither %q nor %q", value, r.columns.Deposit, r.columns.Withdraw))
	return 0
}

func (r *reader) amount(value string) wallet.Amount {
	before := len(r.faults)
	amount := r.integer(r.at.amount, value)
	if len(r.faults) == before && !amount.Valid() {
		r.fault(r.at.amount, fmt.Sprintf("%d is not from 1 to %d", amount, wallet.MaxAmount))
	}
	return amount
}

// balance may be below 0, as a bank lets an account be.
func (r *reader) balance(value string) wallet.Amount {
	before := len(r.faults)
	balance := r.integer(r.at.balance, value)
	if len(r.faults) == before && (balance < -wallet.MaxAmount || balance > wallet.MaxAmount) {
		r.fault(r.at.balance, fmt.Sprintf("%d is not from -%d to %d", balance, wallet.MaxAmount, wallet.MaxAmount))
	}
	return balance
}

// integer reads minor units. "12.50" is refused, not guessed at, and so are "+5" and "05".
func (r *reader) integer(field int, value string) wallet.Amount {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != value {
		r.fault(field, fmt.Sprintf("%q is not an integer in minor units", value))
	}
	return wallet.Amount(n)
}
