package wallet

import "github.com/google/uuid"

// Kind says what a journal record, or an entry of a requeued list, holds.
type Kind uint8

// The kinds of journal records.
const (
	KindOperations Kind = 1 // operations of one wallet, to be applied in order
	KindCreate     Kind = 2 // a wallet to be created; its one operation carries only AcceptedAt
	KindBackfill   Kind = 3 // operations that the direct way applied, with their outcomes
)

// Record is one journal record: one or more operations of one wallet, in order.
type Record struct {
	Kind       Kind
	WalletID   uuid.UUID
	Operations []Operation
	// Attempt is 0 for a record as accepted, n for the n-th copy that requeueing
	// put back into the journal.
	Attempt int
	// Replica accepted the record and may have a request waiting for its outcome.
	Replica uuid.UUID
	Receipt Receipt
}
