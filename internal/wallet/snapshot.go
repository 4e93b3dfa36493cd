package wallet

import "github.com/google/uuid"

// Key names an operation: its id is unique within its wallet.
type Key struct{ WalletID, ID uuid.UUID }

// Key returns the operation's key.
func (o Operation) Key() Key { return Key{o.WalletID, o.ID} }

// IsCreation reports whether k names the creation of its wallet.
func (k Key) IsCreation() bool { return k.ID == k.WalletID }

// Placed is an operation, or a creation under its wallet's id, with the place of its record.
type Placed struct {
	Key
	Receipt Receipt
}

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

// Progress is how far a partition of the journal has come in the ledger.
type Progress struct {
	Next  int64 // every record before it is applied, requeued or dead-lettered
	Lists []List
}

// Topic is a journal: its name may be given to another topic, its id never is.
type Topic struct {
	Name       string
	ID         uuid.UUID // Nil while the journal was never met
	Partitions int32
	Generation int // how often an operator had the ledger go on from elsewhere; the ledger's alone
}

// Extent is a topic as it is in Kafka, zero if it is not, with the first and the next offset of
// each partition.
type Extent struct {
	Topic
	Starts, Ends map[int32]int64
}

// ListAudit is a requeued list as an audit looks at it.
type ListAudit struct {
	WalletID  uuid.UUID
	Partition int32 // by the list's head; -1 without one
	Length    int   // by the list's head
	Entries   int   // that are there
}

// ListHead is a requeued list with its first entry.
type ListHead struct {
	List
	First Entry
}
