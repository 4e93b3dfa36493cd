package load

import (
	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/internal/wallet"
)

// follows checks an operation against the balance before it.
func (a *audit) follows(op *client.Operation, before int64) {
	delta := op.Amount
	if op.OperationType == client.Withdraw {
		delta = -delta
	}
	after, possible := before, before+delta >= 0 && before+delta <= int64(wallet.MaxAmount)
	if op.Status == client.Applied {
		after = before + delta
	}
	if possible != (op.Status == client.Applied) {
		a.faults.add(faultStatus, "wallet %s: sequence %d, %s of %d with a balance of %d, is %s",
			a.id, *op.Sequence, op.OperationType, op.Amount, before, op.Status)
	}
	if after != *op.BalanceAfter {
		a.faults.add(faultBalance, "wallet %s: sequence %d leaves %d where %d must be", a.id, *op.Sequence, *op.BalanceAfter, after)
	}
	if (op.Status == client.Failed) != (reasonOf(op) == dueReason(op)) {
		a.faults.add(faultStatus, "wallet %s: sequence %d is %s with reason %q", a.id, *op.Sequence, op.Status, reasonOf(op))
	}
}

// dueReason is the only reason that an operation of its type can fail for.
func dueReason(op *client.Operation) client.Reason {
	if op.OperationType == client.Withdraw {
		return client.ReasonInsufficientFunds
	}
	return client.ReasonBalanceOverflow
}

func reasonOf(op *client.Operation) client.Reason {
	if op.Reason == nil {
		return ""
	}
	return *op.Reason
}

// asked finds the request of an operation and compares it with what it was told.
func (a *audit) asked(op *client.Operation) {
	kind, _ := wallet.ParseType(string(op.OperationType))
	key := asked{kind, wallet.Amount(op.Amount)}
	r := a.accepted[op.OperationID]
	switch {
	case r == nil && a.open[key] > 0:
		a.open[key]-- // a request without an answer, which was accepted
	case r == nil:
		a.faults.add(faultUnasked, "wallet %s: sequence %d, %s of %d, operation %s",
			a.id, *op.Sequence, op.OperationType, op.Amount, op.OperationID)
	case r.seen:
		a.faults.add(faultTwice, "wallet %s: operation %s again at sequence %d", a.id, op.OperationID, *op.Sequence)
	default:
		r.seen = true
		a.told(r, op)
		a.order(r, op)
	}
}

// told compares an answer with the history.
func (a *audit) told(r *record, op *client.Operation) {
	same := op.WalletID == a.id && r.opType.String() == string(op.OperationType) && int64(r.amount) == op.Amount
	if r.told != toldPending {
		same = same && (r.told == toldApplied) == (op.Status == client.Applied) &&
			r.reason.String() == string(reasonOf(op)) &&
			r.sequence == *op.Sequence && int64(r.balance) == *op.BalanceAfter
	}
	if !same {
		a.faults.add(faultTold, "wallet %s: operation %s: the answer was sequence %d, balance %d (%s of %d); "+
			"the history has sequence %d, balance %d, %s (%s of %d)", a.id, r.operation, r.sequence, r.balance, r.opType,
			r.amount, *op.Sequence, *op.BalanceAfter, op.Status, op.OperationType, op.Amount)
	}
}

// order checks that a request sent after another's answer comes after it, and the
// operations of a request in their order. Of the first rule, only an
// operation applied directly, while the journal cannot be written, may pass those
// that were told nothing but PENDING.
func (a *audit) order(r *record, op *client.Operation) {
	direct := op.Origin != nil && *op.Origin == client.OriginDirect
	if a.outcomeAt < r.sent || (a.acceptedAt < r.sent && !direct) {
		a.faults.add(faultOrder, "wallet %s: sequence %d was sent after a later one was answered", a.id, *op.Sequence)
	}
	if r.request > 0 {
		if after, shares := a.items[r.request]; shares && after < r.item {
			a.faults.add(faultOrder, "wallet %s: sequence %d is of an operation that its request had after a later one's", a.id, *op.Sequence)
		}
		a.items[r.request] = r.item
	}
	if r.told == toldPending || r.late {
		a.acceptedAt = min(a.acceptedAt, r.answered)
	} else {
		a.outcomeAt = min(a.outcomeAt, r.answered)
	}
}
