package wallet

import (
	"time"

	"github.com/google/uuid"
)

// State is what deciding an operation needs of a wallet. Sequence is the number
// of its last operation and, in the ledger, the row's version: every change of
// the balance has an operation, so one counter serves both.
type State struct {
	Balance  Amount
	Sequence int64
}

// Wallet is a wallet as it is read.
type Wallet struct {
	ID uuid.UUID
	State
	UpdatedAt time.Time
}

// Apply decides op against s: it returns the state after it and the operation
// with its outcome, sequence and balance. A refused operation is FAILED with its
// reason and is numbered like any other; the balance stays within 0 … MaxAmount.
// This is the only place where money changes.
func Apply(s State, op Operation, at time.Time) (State, Operation) {
	op.Status, op.Reason = Applied, NoReason
	switch {
	case op.Type == Withdraw && op.Amount > s.Balance:
		op.Status, op.Reason = Failed, InsufficientFunds
	case op.Type == Deposit && op.Amount > MaxAmount-s.Balance:
		op.Status, op.Reason = Failed, BalanceOverflow
	case op.Type == Withdraw:
		s.Balance -= op.Amount
	case op.Type == Deposit:
		s.Balance += op.Amount
	}
	s.Sequence++
	op.Sequence, op.BalanceAfter, op.AppliedAt = s.Sequence, s.Balance, at
	return s, op
}

// Refuse returns op as FAILED because its wallet does not exist. It has neither
// a sequence nor a balance: there is no wallet that could number it.
func Refuse(op Operation, at time.Time) Operation {
	op.Status, op.Reason, op.Sequence, op.BalanceAfter, op.AppliedAt = Failed, WalletMissing, 0, 0, at
	return op
}
