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

// Query selects a wallet's operations, newest first. Zero fields select everything.
type Query struct {
	Limit    int // rows, 1 … 1000
	Status   *Status
	Type     Type
	From, To time.Time // AppliedAt in [From, To)
	Before   Cursor
}

// Cursor is a place in a wallet's list of operations. Requeued operations come
// first (they have no sequence yet), then the numbered ones.
type Cursor struct {
	Position int64 // of the last requeued operation shown; 0: none was
	Sequence int64 // of the last numbered operation shown; 0: none was
}

// MaxWait is the longest time that a request waits for its outcome.
const MaxWait = 30 * time.Second

// Page is a part of a wallet's list of operations.
type Page struct {
	Operations []Operation
	Next       *Cursor // nil at the end of the list
}

// Component is the state of one thing that walletd stands on.
type Component struct {
	Name   string // postgres, kafka, redis
	Up     bool
	Detail string // why it is not up, for an operator; no secrets
}
