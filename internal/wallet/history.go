package wallet

import "time"

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

// Page is a part of a wallet's list of operations.
type Page struct {
	Operations []Operation
	Next       *Cursor // nil at the end of the list
}
