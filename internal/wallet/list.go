package wallet

import (
	"time"

	"github.com/google/uuid"
)

// List is the head of a wallet's requeued list: what was set aside, waiting for a
// copy of its first operation to come by in the journal.
type List struct {
	WalletID  uuid.UUID
	Length    int       // entries waiting
	Attempt   int       // of the last copy that met it; 0 before the first
	Refusals  int       // since something of it was last applied
	NotBefore time.Time // when the next copy is due
	LastError string
}

// Entry is one operation in a requeued list.
type Entry struct {
	Position int64 // order within the list; given by the ledger
	Kind     Kind
	Operation
}

// ListChange is what a batch does to one wallet's requeued list.
type ListChange struct {
	List           // the head after the change; Length 0 removes the list
	Taken  []int64 // positions to remove: they are applied, or were already in the ledger
	Append []Entry // joins the list's end, in order; Position is not yet set
}

// ListHead is a requeued list with its first entry.
type ListHead struct {
	List
	First Entry
}

// ListAudit is a requeued list as an audit looks at it.
type ListAudit struct {
	WalletID  uuid.UUID
	Partition int32 // by the list's head; -1 without one
	Length    int   // by the list's head
	Entries   int   // that are there
}
