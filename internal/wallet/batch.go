package wallet

import (
	"time"

	"github.com/google/uuid"
)

// Batch is one transaction of the ledger: everything in it becomes durable
// together or not at all.
type Batch struct {
	// Fence moves the partition's offset; nil for the direct way, which has no
	// place in the journal.
	Fence *Fence
	// Creates are wallets to insert with a zero state. A wallet that exists is a conflict.
	Creates []Creation
	// Changes are the wallets that move, sorted by id, each conditional on its version.
	Changes []Change
	// Operations are inserted. An id that is already there is a conflict.
	// Without a Fence they are noted as not yet in the journal.
	Operations []Operation
	// Lists are changes of requeued lists; they only travel with a Fence.
	Lists []ListChange
}

// ExpectedBatch is a batch that is about to be committed.
type ExpectedBatch struct {
	Partition  int32
	Operations int // so far
}

// Fence is the condition that makes a batch safe whoever runs it: the partition's
// offset moves From → To only if it still is From.
type Fence struct {
	Topic     uuid.UUID
	Partition int32
	From, To  int64
}

// Creation is a wallet to insert.
type Creation struct {
	ID     uuid.UUID
	At     time.Time
	Direct bool // not from a record of the journal, which may have none: it gets one
}

// Change moves a wallet from the version it was computed from to its new state.
type Change struct {
	ID           uuid.UUID
	FromSequence int64
	State
	At time.Time
}
