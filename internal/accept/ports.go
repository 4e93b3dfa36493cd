package accept

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Journal is where accepted requests are kept.
type Journal interface {
	// Write journals operations of one wallet, or its creation, in one record. done is
	// called once, in a bounded time, and must not wait: with the record's receipt, with
	// ErrNotJournaled, or with ErrUnacknowledged if nobody knows.
	Write(done func(wallet.Receipt, error), ops ...wallet.Operation)
	// Reaches reports whether the journal has a receipt's place: its end is beyond it.
	Reaches(ctx context.Context, r wallet.Receipt) (bool, error)
	// MayHave reports whether a partition is the one of a wallet's records; true while that is
	// not known.
	MayHave(partition int32, walletID uuid.UUID) bool
	// RecordAt reads the record at a receipt.
	RecordAt(ctx context.Context, r wallet.Receipt) (wallet.Record, error)
}

// Ledger is what accepting asks of the ledger. Errors wrap a kind of wallet/errors.go;
// that a wallet does not exist is a *wallet.Error.
type Ledger interface {
	// Create makes a wallet, or returns the one that is there.
	Create(ctx context.Context, id uuid.UUID, at time.Time) (w wallet.Wallet, created bool, err error)
	Wallet(ctx context.Context, id uuid.UUID) (wallet.Wallet, error)
	// Operation returns an operation, PENDING while it is requeued; nil if the ledger does not
	// have it, and then the offset that it has reached of the partition.
	Operation(ctx context.Context, key wallet.Key, partition int32) (op *wallet.Operation, next int64, err error)
	Operations(ctx context.Context, walletID uuid.UUID, q wallet.Query) (wallet.Page, error)
	// Outcomes returns those of the operations that the ledger has. Requests that ask for
	// one each share the cost.
	Outcomes(ctx context.Context, keys []wallet.Key) ([]wallet.Operation, error)
	// Offsets returns the offset of each partition.
	Offsets(ctx context.Context) (next map[int32]int64, err error)
	// FullLists returns the wallets whose requeued lists have length entries.
	FullLists(ctx context.Context, length int) ([]uuid.UUID, error)
	Err() error            // nil while the ledger answers
	Down() <-chan struct{} // closed when it stops answering
}

// Balances is the cache of balances. What it cannot put it remembers for repair.
type Balances interface {
	Known(ctx context.Context, id uuid.UUID) bool                      // it has the wallet, be it only that it exists
	Cached(ctx context.Context, id uuid.UUID) (wallet.Wallet, bool)    // it has the balance, and that is the newest it was told
	Put(ctx context.Context, wallets ...wallet.Wallet) error           // as they are now
	PutMaybeStale(ctx context.Context, wallets ...wallet.Wallet) error // as they have been: instead of older ones only
	PutMade(ctx context.Context, wallets ...wallet.Wallet) error       // made without a key, and not in the ledger yet
	Listening() bool                                                   // announcements of other replicas arrive
}

// Applier applies what is accepted.
type Applier interface {
	KnowsWallet(id uuid.UUID) bool // that it exists
	NoteExists(id uuid.UUID)
	NoteState(w wallet.Wallet) // as the ledger had it a moment ago
	AppliesWallet(id uuid.UUID) bool
	Owns(partition int32) bool
	// Direct applies operations of one wallet straight to the ledger, and returns them with
	// their outcomes, in order. A *wallet.Error: nothing was applied; any other: nobody knows.
	Direct(ctx context.Context, ops ...wallet.Operation) ([]wallet.Operation, error)
	// Accepted returns an operation that this replica has accepted, and whose outcome is not
	// known yet.
	Accepted(key wallet.Key) (wallet.Operation, bool)
	// Reconcile takes the ledger's offsets, settles own operations that the ledger has by
	// now, and has those that the journal lost applied. One call is bounded; it returns how
	// many got their outcome.
	Reconcile(ctx context.Context, offsets map[int32]int64) (settled int, err error)
	Backlog
}

// Backlog is what this replica has accepted and knows no outcome of.
type Backlog interface {
	// Unsettled returns how many operations of the wallet, of those accepted at since
	// or later, wait for their outcome, and how many have had one: counted from 0 again
	// when the wallet was forgotten.
	Unsettled(id uuid.UUID, since time.Time) (unsettled int, outcomes int64)
	// UnsettledInAll is the same over all wallets, whenever accepted, without what refusing
	// others would not help: what is on a requeued list, lost with a journal, or of a partition
	// that stands still.
	UnsettledInAll() (unsettled int, outcomes int64)
}
