package wallet

import (
	"errors"
	"fmt"
	"time"
)

// Code is the stable name of an error; httpapi has the one table from codes to
// HTTP statuses.
type Code string

// The errors that a caller of the service can meet.
const (
	CodeInvalidRequest       Code = "invalid_request"        // a field is missing or wrong; Fields names it
	CodeWalletNotFound       Code = "wallet_not_found"       // no such wallet
	CodeOperationNotFound    Code = "operation_not_found"    // no such operation of this wallet
	CodeIdempotencyKeyReused Code = "idempotency_key_reused" // the key belongs to another request
	CodeNotYetVisible        Code = "not_yet_visible"        // the wallet has not reached the asked sequence
	CodeOverloaded           Code = "overloaded"             // a load limit was reached; nothing was accepted
	CodeUnavailable          Code = "unavailable"            // the components behind cannot answer now
	CodeInternal             Code = "internal"               // a fault of ours; detail is in the log only
)

// Fate says what is known of a write that ended in an error.
type Fate string

// The fates of a write. NotApplied is said only if it has moved no money and never
// will: it was handed to nobody, or the ledger has refused it.
const (
	NotApplied Fate = "not_applied"
	Unknown    Fate = "unknown"
)

// FieldError names a field of a request and what is wrong with it.
type FieldError struct {
	Field  string
	Detail string
}

// Error is an error with a stable code. Detail is shown to the client.
type Error struct {
	Code       Code
	Detail     string
	Fields     []FieldError
	RetryAfter time.Duration // how long to wait before trying again; 0: not said
	Fate       Fate          // of a write; empty means NotApplied
	Operation  *Operation    // the operation the error is about, if one is known
	Err        error         // the cause, for the log
}

// Error returns code, detail and cause.
func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Detail
	if e.Err != nil {
		s = fmt.Sprintf("%s: %v", s, e.Err)
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// The ways a ledger can refuse or fail a call. Every error of it wraps exactly one of
// them, ErrRefused if it is none of the others, or is the *Error that answers the
// question, as CodeWalletNotFound.
var (
	// ErrUnavailable: connection, timeout, shutdown, read-only, disk full. A commit
	// that ends so has an unknown outcome.
	ErrUnavailable = errors.New("ledger unavailable")
	// ErrFenced: the partition's offset is not what the batch began at.
	ErrFenced = errors.New("partition offset moved")
	// ErrConflict: a wallet's version moved, or an operation id or wallet is already there.
	ErrConflict = errors.New("version conflict")
	// ErrSerialization: a serialization failure or deadlock; rolled back, to be retried at once.
	ErrSerialization = errors.New("serialization failure")
	// ErrLocked: a row stayed locked beyond the lock timeout; rolled back.
	ErrLocked = errors.New("row locked")
	// ErrRefused: any other refusal by SQL; rolled back.
	ErrRefused = errors.New("refused by the ledger")
	// ErrTopicChanged: the ledger follows another journal topic than the one at hand.
	ErrTopicChanged = errors.New("journal topic is not the one the ledger follows")
	// ErrResolved: the dead letter was replayed or discarded before.
	ErrResolved = errors.New("resolved before")
)

// The ways a journal can fail to keep a record.
var (
	// ErrNotJournaled: nothing of the record was handed to the producer.
	ErrNotJournaled = errors.New("not journaled")
	// ErrUnacknowledged: the record was handed over and not acknowledged in time;
	// it may be in the journal, or get there minutes later.
	ErrUnacknowledged = errors.New("not acknowledged by the journal")
	// ErrUnreachable: no broker answers a question about the journal.
	ErrUnreachable = errors.New("no broker answers")
)

// IsWalletNotFound reports whether err says that there is no such wallet.
func IsWalletNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == CodeWalletNotFound
}
