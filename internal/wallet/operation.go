package wallet

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Type says which way an operation moves money.
type Type uint8

// The operation types. Zero is no operation type; in a create entry it is unset.
const (
	Deposit  Type = 1
	Withdraw Type = 2
)

// String returns the name used on the wire: DEPOSIT or WITHDRAW.
func (t Type) String() string {
	switch t {
	case Deposit:
		return "DEPOSIT"
	case Withdraw:
		return "WITHDRAW"
	}
	return ""
}

// ParseType returns the type with the given wire name.
func ParseType(s string) (Type, bool) {
	switch s {
	case "DEPOSIT":
		return Deposit, true
	case "WITHDRAW":
		return Withdraw, true
	}
	return 0, false
}

// Status is how far an operation has come: PENDING once the journal has it,
// then APPLIED or FAILED for ever once the ledger has it.
type Status uint8

// The statuses of an operation.
const (
	Pending Status = 0
	Applied Status = 1
	Failed  Status = 2
)

// String returns the name used on the wire.
func (s Status) String() string {
	return [...]string{"PENDING", "APPLIED", "FAILED"}[s]
}

// ParseStatus returns the status with the given wire name.
func ParseStatus(s string) (Status, bool) {
	for st := Pending; st <= Failed; st++ {
		if st.String() == s {
			return st, true
		}
	}
	return 0, false
}

// Reason says why an operation FAILED.
type Reason uint8

// The reasons of a FAILED operation.
const (
	NoReason          Reason = 0
	InsufficientFunds Reason = 1
	BalanceOverflow   Reason = 2
	WalletMissing     Reason = 3
)

// String returns the name used on the wire; empty for NoReason.
func (r Reason) String() string {
	return [...]string{"", "insufficient_funds", "balance_overflow", "wallet_not_found"}[r]
}

// Origin says which way an operation reached the ledger.
type Origin uint8

// The origins of an operation.
const (
	FromJournal Origin = 0 // applied at its place in the journal
	Direct      Origin = 1 // applied while the journal could not be written
)

// String returns the name used on the wire.
func (o Origin) String() string { return [...]string{"journal", "direct"}[o] }

// Operation is one movement of money and what is known of it. Status, Reason,
// Sequence, BalanceAfter and AppliedAt are set once the ledger has it.
type Operation struct {
	ID       uuid.UUID
	WalletID uuid.UUID
	Type     Type
	Amount   Amount

	// AcceptedAt tells two requests with one id apart: it has microseconds and is
	// never repeated by one replica.
	AcceptedAt time.Time
	Receipt    Receipt

	Status       Status
	Reason       Reason
	Origin       Origin
	Sequence     int64 // from 1; 0 while PENDING and for WalletMissing
	BalanceAfter Amount
	AppliedAt    time.Time
}

// IsCreation reports whether o stands for the creation of its wallet, in a create
// record or as its outcome: its id is the wallet's own, and it has no type and amount.
func (o Operation) IsCreation() bool { return o.ID == o.WalletID && o.Type == 0 }

// After is the wallet as o left it; o is one that the ledger has, with a sequence.
func (o Operation) After() Wallet {
	return Wallet{ID: o.WalletID, State: State{Balance: o.BalanceAfter, Sequence: o.Sequence}, UpdatedAt: o.AppliedAt}
}

// Newest returns the latest balance of each wallet that the operations show. Those
// without a sequence show none.
func Newest(ops iter.Seq[Operation]) []Wallet {
	last := map[uuid.UUID]Wallet{}
	for op := range ops {
		if op.Sequence > last[op.WalletID].Sequence {
			last[op.WalletID] = op.After()
		}
	}
	return slices.Collect(maps.Values(last))
}

// SameRequest reports whether o asks for what p asks for. An id met with another
// wallet, type or amount is an idempotency key used twice.
func (o Operation) SameRequest(p Operation) bool {
	return o.ID == p.ID && o.WalletID == p.WalletID && o.Type == p.Type && o.Amount == p.Amount
}
