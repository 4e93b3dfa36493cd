package wallet

import "time"

// Outcome is the answer to a submitted operation: the operation as far as it is
// known. Its status is PENDING if the wait ended before the ledger had it.
type Outcome struct {
	Operation Operation
	Replayed  bool // the operation is that of an earlier request with the same key
	KeyReused bool // the key belongs to Operation, which asks for something else: nothing was applied
}

// Created is the answer to a request for a new wallet.
type Created struct {
	Wallet
	Replayed bool // an earlier request with the same key created it
	Pending  bool // journaled, not yet in the ledger; usable at once
}

// MaxWait is the longest time that a request waits for its outcome.
const MaxWait = 30 * time.Second
