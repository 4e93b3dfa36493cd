package wallet

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
