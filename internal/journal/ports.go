package journal

import (
	"context"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Applier is who applies the records: it is told which partitions are this replica's, and gets
// what is fetched of them.
type Applier interface {
	Acknowledger

	// Assigned returns the offset to read a partition from, once the ledger has told it.
	// An error, or the end of ctx: nothing of it may be read.
	Assigned(ctx context.Context, topic uuid.UUID, partition int32) (next int64, err error)
	// Revoked returns when nothing of the partition is applied here any more.
	Revoked(partition int32)
	// Halt is Revoked for good: what the ledger asks for is not there.
	Halt(partition int32, err error)

	// Delivered is the offset before which everything of a partition was delivered, 0 if it is
	// another replica's.
	Delivered(partition int32) int64
	// Fetched delivers records in offset order and without omission. It returns false if no
	// more of the partition may be fetched until Resume.
	Fetched(partition int32, records []wallet.Record) (room bool)
	// MayFetch is asked again once fetching was paused: there may have been a Resume before.
	// false: there will be one.
	MayFetch(partition int32) bool
	// Offsets are the ledger's, of the partitions that are this replica's.
	Offsets() map[int32]int64
}

// Acknowledger gets this replica's own records as soon as they are acknowledged.
type Acknowledger interface {
	// Acknowledged notes a record, of a partition in offset order, before its writers are
	// told. It must not wait.
	Acknowledged(rec wallet.Record)
	// Deliver brings acknowledged records, those of a partition in offset order: what comes
	// together may be applied together. It must not wait.
	Deliver(records ...wallet.Record)
	// AwaitIdle waits for what was delivered to be applied; false if ctx ended before.
	AwaitIdle(ctx context.Context) bool
	// JournalReplaced notes that everything acknowledged so far is in a topic that is no
	// longer written; its offsets say nothing about the next topic.
	JournalReplaced()
	// JournalTruncated notes that a partition has lost its records from end to before
	// acknowledged. Those from there on were written later.
	JournalTruncated(partition int32, end, acknowledged int64)
	// Recovering reports whether some of what was lost so has no outcome yet.
	Recovering() bool
}

// Ledger remembers which topic it follows.
type Ledger interface {
	// Followed returns the topic that the ledger follows, a zero one if it follows none, and
	// the offsets up to which it has applied the partitions.
	Followed(ctx context.Context) (wallet.Topic, map[int32]int64, error)
	// Follow makes the ledger follow the topic if it follows none yet, and returns
	// the one it follows.
	Follow(ctx context.Context, t wallet.Topic) (wallet.Topic, error)
}
