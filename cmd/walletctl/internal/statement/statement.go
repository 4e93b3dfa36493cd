// Package statement reads bank statements: CSV files whose rows are deposits and
// withdrawals of accounts. A file is taken whole or not at all.
package statement

import "github.com/walletd/walletd/internal/wallet"

// Columns names the columns of a file by their header, and the values of the
// type column.
type Columns struct {
	ID       string // unique in the file
	Account  string
	Type     string
	Amount   string // minor units
	Balance  string // the account's balance after the row; empty: the file has none
	Deposit  string // the value of Type that means DEPOSIT
	Withdraw string // the value of Type that means WITHDRAW
}

// Row is one movement of money.
type Row struct {
	Line    int
	ID      string
	Type    wallet.Type
	Amount  wallet.Amount
	Balance wallet.Amount // what the file says; meaningless without a balance column
}

// Delta returns what the row adds to the balance of its account.
func (r Row) Delta() wallet.Amount {
	if r.Type == wallet.Withdraw {
		return -r.Amount
	}
	return r.Amount
}

// Account is one account's rows in the order of the file.
type Account struct {
	Name string
	Rows []Row
}

// OpeningBalance returns the balance that the first row implies the account had
// before it. A file whose accounts begin within it gives 0; anything else is money
// that no row brings in.
func (a Account) OpeningBalance() wallet.Amount {
	return a.Rows[0].Balance - a.Rows[0].Delta()
}

// Statement is a whole file: its accounts in the order of their first rows.
type Statement struct {
	Accounts    []Account
	Rows        int
	HasBalances bool
}
