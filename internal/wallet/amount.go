package wallet

// Amount is money in minor units (cents). It is an integer on every path: in
// memory, in the journal, in the ledger and in JSON.
type Amount int64

// MaxAmount bounds an operation's amount and a wallet's balance. It is 2^53 − 1,
// the largest integer that every JSON reader represents exactly (RFC 8259 §6).
const MaxAmount Amount = 9_007_199_254_740_991

// Valid reports whether a is an amount that an operation may carry.
func (a Amount) Valid() bool { return a >= 1 && a <= MaxAmount }
