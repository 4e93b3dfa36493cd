package audit

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Kind names what is wrong. The names are stable: programs read them.
type Kind string

// The kinds of findings.
const (
	Lost           Kind = "lost"            // journaled before the ledger's offset, and neither applied nor requeued
	RequestDiffers Kind = "request_differs" // the ledger's type or amount is not the journal's
	WrongOutcome   Kind = "wrong_outcome"   // status or reason are not what the rules of money give
	WrongBalance   Kind = "wrong_balance"   // the balance after it does not follow from the one before
	SequenceGap    Kind = "sequence_gap"    // sequences without an operation
	OutOfOrder     Kind = "out_of_order"    // applied before what precedes it in the journal
	ReceiptDiffers Kind = "receipt_differs" // the ledger names another place of the journal than its first
	NotJournaled   Kind = "not_journaled"   // in the ledger, and not in the journal
	BackfillDiffer Kind = "backfill_differs"
	WalletMissing  Kind = "wallet_missing" // journaled or with operations, and not in the ledger
	WalletDiffers  Kind = "wallet_differs" // the wallet's row is not what its operations come to
	TopicDiffers   Kind = "topic_differs"  // the ledger follows another topic than the one that is there
	OffsetOutside  Kind = "offset_outside" // the ledger's offset is not in the journal
	ListDiffers    Kind = "list_differs"   // a requeued list's head is not what its entries and its wallet's partition ask for
	LetterMissing  Kind = "letter_missing" // an undecodable record was passed and is no dead letter
	CacheDiffers   Kind = "cache_differs"  // a cached balance is not the ledger's at its sequence, or is newer
	KeyReused      Kind = "key_reused"     // a note: one id asked for twice, for different things; refused
)

// Finding is one thing that is wrong, and where.
type Finding struct {
	Kind        Kind       `json:"kind"`
	WalletID    *uuid.UUID `json:"walletId,omitempty"`
	OperationID *uuid.UUID `json:"operationId,omitempty"`
	Sequence    *int64     `json:"sequence,omitempty"`
	Partition   *int32     `json:"partition,omitempty"`
	Offset      *int64     `json:"offset,omitempty"`
	Detail      string     `json:"detail"`
}

// Report is what an audit has seen. Findings and Notes are bounded; Totals counts
// all findings.
type Report struct {
	Topic      string  `json:"topic"`
	Seconds    float64 `json:"seconds"`
	Records    int64   `json:"records"`    // replayed
	Operations int64   `json:"operations"` // of them, each occurrence
	Wallets    int64   `json:"wallets"`    // of the ledger
	Cached     int64   `json:"cached"`     // balances of the cache

	// CachedElsewhere counts cached balances of wallets that this ledger does not have:
	// created and not applied yet, or of another system that shares the Redis.
	CachedElsewhere int64 `json:"cachedElsewhere"`

	InFlight         int64  `json:"inFlight"`         // records that the ledger's offset had not passed when the audit began
	Requeued         int64  `json:"requeued"`         // operations in requeued lists, in flight as well
	AwaitingBackfill int64  `json:"awaitingBackfill"` // direct operations and creations whose record is still to be written
	Repeats          int64  `json:"repeats"`          // of operations, by their idempotency keys or by retries
	KeysReused       int64  `json:"keysReused"`       // repeats that asked for something else
	CacheUnread      string `json:"cacheUnread,omitempty"`

	Totals   map[Kind]int64 `json:"totals,omitempty"`
	Findings []Finding      `json:"findings,omitempty"`
	Notes    []Finding      `json:"notes,omitempty"`
}

// The bounds of what a report lists.
const (
	maxFindings = 200 // of one kind: a known loss of records must not hide another difference
	maxNotes    = 50
)

// Clean reports whether nothing was found.
func (r *Report) Clean() bool { return len(r.Totals) == 0 }

// Differences returns how many findings there are.
func (r *Report) Differences() (n int64) {
	for _, m := range r.Totals {
		n += m
	}
	return n
}

// String shows a finding in one line.
func (f Finding) String() string {
	b := []byte(f.Kind)
	if f.WalletID != nil {
		b = fmt.Appendf(b, " wallet %s", f.WalletID)
	}
	if f.Sequence != nil {
		b = fmt.Appendf(b, " sequence %d", *f.Sequence)
	}
	if f.OperationID != nil {
		b = fmt.Appendf(b, " operation %s", f.OperationID)
	}
	if f.Partition != nil && f.Offset != nil {
		b = fmt.Appendf(b, " record %d-%d", *f.Partition, *f.Offset)
	}
	return string(append(append(b, ": "...), f.Detail...))
}

func (a *Audit) find(f Finding, format string, args ...any) {
	if a.report.Totals == nil {
		a.report.Totals = map[Kind]int64{}
	}
	a.report.Totals[f.Kind]++
	if a.report.Totals[f.Kind] <= maxFindings {
		f.Detail = fmt.Sprintf(format, args...)
		a.report.Findings = append(a.report.Findings, f)
	}
}

func (a *Audit) note(f Finding, format string, args ...any) {
	if len(a.report.Notes) < maxNotes {
		f.Detail = fmt.Sprintf(format, args...)
		a.report.Notes = append(a.report.Notes, f)
	}
}

// operationFinding names an operation, with the places that are known of it.
func operationFinding(kind Kind, op *wallet.Operation, r wallet.Receipt) Finding {
	f := Finding{Kind: kind, WalletID: &op.WalletID, OperationID: &op.ID}
	if op.Sequence > 0 {
		f.Sequence = &op.Sequence
	}
	if r.Known() {
		f.Partition, f.Offset = &r.Partition, &r.Offset
	}
	return f
}

func walletFinding(kind Kind, id uuid.UUID) Finding { return Finding{Kind: kind, WalletID: &id} }
