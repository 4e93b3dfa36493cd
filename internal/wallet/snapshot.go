package wallet

import "github.com/google/uuid"

// SnapshotQuery says what to read of the ledger as of one moment.
type SnapshotQuery struct {
	Wallets        []uuid.UUID
	Operations     []Key
	Lists          []uuid.UUID // wallets whose requeued entries are to be read
	EntriesPerList int
}

// Snapshot is what the ledger had at one moment. What is not in it does not exist.
type Snapshot struct {
	Wallets    map[uuid.UUID]State
	Operations map[Key]Operation
	Entries    map[uuid.UUID][]Entry // in order
}
