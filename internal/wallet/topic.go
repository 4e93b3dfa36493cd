package wallet

import "github.com/google/uuid"

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

// Progress is how far a partition of the journal has come in the ledger.
type Progress struct {
	Next  int64 // every record before it is applied, requeued or dead-lettered
	Lists []List
}

// Repointing has the ledger go on with the journal as it is now, because an
// operator says so: with another topic, or from other offsets of the same.
type Repointing struct {
	From, To Topic // From: what the ledger follows, generation included; To.Generation is not looked at
	Moves    []Move
}

// Move is one partition's part of a Repointing.
type Move struct {
	Partition int32
	From      int64 // the ledger's next offset, in the topic it follows; -1: it has none
	To        int64 // from then on, in the topic it will follow
}
