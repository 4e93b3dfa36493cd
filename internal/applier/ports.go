package applier

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Ledger is what applying needs of the ledger. Its errors wrap the domain's.
type Ledger interface {
	Partition(ctx context.Context, topic uuid.UUID, partition int32) (wallet.Progress, error)
	Read(ctx context.Context, q wallet.SnapshotQuery) (wallet.Snapshot, error)
	Commit(ctx context.Context, b *wallet.Batch) error
	// Expect says that batches are on their way to Commit.
	Expect(batches ...wallet.ExpectedBatch)
	Locked(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error)
	Due(ctx context.Context, partition int32, at time.Time, most time.Duration, limit int) ([]wallet.ListHead, error)
	Unjournaled(ctx context.Context, beyond uuid.UUID, limit int) ([]wallet.Key, error)
	Backfills(ctx context.Context, keys []wallet.Key) ([]wallet.Operation, error)
	Journaled(ctx context.Context, keys []wallet.Key) error
	Lost(ctx context.Context, placed []wallet.Placed) ([]wallet.Key, error)
}

// Journal is what applying writes to the journal, and how it slows its reading.
type Journal interface {
	// Append writes records, of one wallet in their order, and returns the place of each
	// once all have their answer: NoReceipt, and an error, for what is not acknowledged.
	Append(records ...wallet.Record) ([]wallet.Receipt, error)
	// Bury keeps a record that does not decode; nil once it is acknowledged.
	Bury(ctx context.Context, rec wallet.Record) error
	// PartitionOf returns the partition of a wallet's records.
	PartitionOf(walletID uuid.UUID) int32
	// Resume goes on fetching a partition for which Fetched has returned false.
	Resume(partition int32)
}

// Announcer tells others what was committed: the balances before the outcomes, for who
// is told an outcome finds it in the balance. It is called in commit order for
// each partition, never concurrently for one, after the operations are settled here.
type Announcer interface {
	Announce(ctx context.Context, c wallet.Committed)
}
