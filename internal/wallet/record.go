package wallet

import "github.com/google/uuid"

// Kind says what a journal record, or an entry of a requeued list, holds.
type Kind uint8

// The kinds of journal records.
const (
	KindPoison     Kind = 0 // bytes that do not decode; never written, only read
	KindOperations Kind = 1 // operations of one wallet, to be applied in order
	KindCreate     Kind = 2 // a wallet to be created; its one operation carries only AcceptedAt
	KindBackfill   Kind = 3 // operations that the direct way applied, with their outcomes
)

// MaxRecordOperations bounds the operations that share a record, and so those that
// one request may ask for: a record stays far below a broker's usual limit of 1 MB.
const MaxRecordOperations = 1_000

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
	Poison  *Poison // of KindPoison only
}

// Poison is a record that does not decode, as it was found.
type Poison struct {
	Key, Value []byte
	Headers    []Header
	Err        error // why it does not decode
}

// Header is a header of a journal record.
type Header struct {
	Key   string
	Value []byte
}
