package audit

import (
	"context"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Ledger is what is read of the ledger. Each call is one statement: what it
// returns is of one moment. Errors wrap a kind of wallet/errors.go.
type Ledger interface {
	// Followed returns the topic that is followed, and the next offset of each partition.
	Followed(ctx context.Context) (wallet.Topic, map[int32]int64, error)
	Read(ctx context.Context, q wallet.SnapshotQuery) (wallet.Snapshot, error)
	// Wallets returns up to limit wallets with an id above after, by id.
	Wallets(ctx context.Context, after uuid.UUID, limit int) ([]wallet.Wallet, error)
	// Since returns the wallets as they are, those that exist, and of each up to
	// limit operations above the given sequence, by wallet and sequence.
	Since(ctx context.Context, from []wallet.Wallet, limit int) ([]wallet.Wallet, []wallet.Operation, error)
	// Strays looks at the next limit wallets above after that have operations, and
	// returns those operations that have no sequence or whose wallet does not exist.
	// next is Nil at the end.
	Strays(ctx context.Context, after uuid.UUID, limit int) (strays []wallet.Operation, next uuid.UUID, err error)
	// Lists returns the next limit wallets above after that have a requeued list, or a part
	// of one.
	Lists(ctx context.Context, after uuid.UUID, limit int) ([]wallet.ListAudit, error)
	// AwaitingBackfill returns which of the operations wait for their backfill record.
	AwaitingBackfill(ctx context.Context, keys []wallet.Key) ([]wallet.Key, error)
	// BalancesAt returns the wallets as they are, and the balances after the
	// operations with the given sequences.
	BalancesAt(ctx context.Context, places []wallet.Wallet) (now []wallet.Wallet, then []wallet.Operation, err error)
}

// Journal is what is read of the journal.
type Journal interface {
	// Extent returns the topic that is there now (a zero one if there is none), and
	// each partition's first offset and end.
	Extent(ctx context.Context) (wallet.Extent, error)
	// Replay delivers the records of each partition in [from, to), in offset order.
	Replay(ctx context.Context, from, to map[int32]int64, deliver func([]wallet.Record) error) error
	// BuriedPlaces returns where the records were that are dead letters.
	BuriedPlaces(ctx context.Context) (map[wallet.Receipt]bool, error)
}

// Cache is what is read of the cache.
type Cache interface {
	// Each delivers the cached balances, of all wallets or of the one, and the wallets
	// whose value does not decode.
	Each(ctx context.Context, only uuid.UUID, deliver func(balances []wallet.Wallet, undecodable []uuid.UUID) error) error
}
