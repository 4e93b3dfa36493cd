package audit

import (
	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// account is a wallet as its operations so far have left it.
type account struct {
	sequence, balance int64
	there             bool // in the ledger
	created           bool // by a record
}

// waiting is a journaled operation that was in a requeued list when it was met.
type waiting struct {
	opType  wallet.Type
	amount  wallet.Amount
	receipt wallet.Receipt
}

// entry is a place in a requeued list: an operation, and the record that brought it there.
type entry struct {
	wallet.Key
	receipt wallet.Receipt
}

// owed is an operation of the ledger whose record is to be met still: of a direct
// one the backfill, of another its own.
type owed struct {
	opType  wallet.Type
	amount  wallet.Amount
	number  int64 // sequence
	receipt wallet.Receipt
	direct  bool
	early   bool // applied before what precedes it in the journal, if the journal has it
}

// largest is the largest balance, 2^53 − 1. This and step are written down here a
// second time, so that a fault of the one that decides is seen.
const largest = 1<<53 - 1

// step decides op, which the ledger has, once more, and compares. What the ledger
// has is then believed, so that one fault is found once.
func (a *Audit) step(acc *account, op *wallet.Operation) {
	after, status, reason := acc.balance, "APPLIED", ""
	switch amount := int64(op.Amount); {
	case op.Type.String() == "DEPOSIT" && amount > largest-after:
		status, reason = "FAILED", "balance_overflow"
	case op.Type.String() == "DEPOSIT":
		after += amount
	case amount > after:
		status, reason = "FAILED", "insufficient_funds"
	default:
		after -= amount
	}
	switch {
	case op.Status.String() != status || op.Reason.String() != reason:
		a.find(operationFinding(WrongOutcome, op, op.Receipt), "%s %d at a balance of %d is %s %s; the ledger says %s %s",
			op.Type, op.Amount, acc.balance, status, reason, op.Status, op.Reason)
	case int64(op.BalanceAfter) != after:
		a.find(operationFinding(WrongBalance, op, op.Receipt), "%s %d (%s) at a balance of %d leaves %d; the ledger says %d",
			op.Type, op.Amount, status, acc.balance, after, op.BalanceAfter)
	}
	acc.sequence, acc.balance = op.Sequence, int64(op.BalanceAfter)
}

// advance takes op as the wallet's next operation; sequences that are left out are
// a finding.
func (a *Audit) advance(acc *account, op *wallet.Operation) {
	if op.Sequence > acc.sequence+1 {
		a.find(operationFinding(SequenceGap, op, op.Receipt), "the operation before this one has sequence %d", acc.sequence)
	}
	a.step(acc, op)
}

func (a *Audit) outside(id uuid.UUID) bool { return a.Wallet != uuid.Nil && a.Wallet != id }
