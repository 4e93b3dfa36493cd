package wallet

import "github.com/google/uuid"

// NoPartition is the partition of what the direct way has committed.
const NoPartition = -1

// Committed is what became true with one commit of the ledger. Those of a partition are
// announced in the order of Next.
type Committed struct {
	Partition  int32    // or NoPartition
	Next       int64    // the partition's offset in the ledger
	Wallets    []Wallet // as they are now
	MaybeStale []Wallet // as they were after operations that the ledger had before, perhaps not as they are now
	Results    []Result
}

// And returns what this commit and a later one by the same way made true.
func (c Committed) And(later Committed) Committed {
	c.Wallets, c.MaybeStale = append(c.Wallets, later.Wallets...), append(c.MaybeStale, later.MaybeStale...)
	c.Results = append(c.Results, later.Results...)
	return c
}

// Operations are the operations of the results.
func (c Committed) Operations() []Operation {
	ops := make([]Operation, len(c.Results))
	for i := range c.Results {
		ops[i] = c.Results[i].Operation
	}
	return ops
}

// Result is an operation's outcome and the replica that accepted the record it
// was met in.
type Result struct {
	Operation
	Replica uuid.UUID
}
