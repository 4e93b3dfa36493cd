// Package simtest is what tests and simulations run the applier against: a journal
// and a ledger in memory, a ledger that refuses or hides its answer when it is
// told to, and an auditor that judges what is left by rules of its own.
package simtest

import (
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Log is a journal in memory: what all replicas write to and read from. Safe for
// concurrent use.
type Log struct {
	Topic uuid.UUID

	mu         sync.Mutex
	partitions [][]wallet.Record
	dead       []wallet.Record
	grown      chan struct{} // closed by the next append
}

// NewLog returns an empty journal.
func NewLog(partitions int) *Log {
	return &Log{Topic: uuid.New(), partitions: make([][]wallet.Record, partitions), grown: make(chan struct{})}
}

// Partitions returns their number.
func (l *Log) Partitions() int { return len(l.partitions) }

// PartitionOf returns the partition of a wallet's records.
func (l *Log) PartitionOf(id uuid.UUID) int32 { return int32(id[15]) % int32(len(l.partitions)) }

// Append writes a record at the end of its wallet's partition and returns it with
// its place.
func (l *Log) Append(rec wallet.Record) wallet.Record {
	return l.AppendTo(l.PartitionOf(rec.WalletID), rec)
}

// AppendTo writes a record at the end of a partition: for poison, which has no wallet.
func (l *Log) AppendTo(partition int32, rec wallet.Record) wallet.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	rec.Operations = slices.Clone(rec.Operations)
	for i := range rec.Operations {
		op := &rec.Operations[i]
		op.WalletID = rec.WalletID
		if rec.Kind != wallet.KindBackfill {
			op.Receipt = wallet.NoReceipt
		}
	}
	rec.Receipt = wallet.Receipt{Partition: partition, Offset: int64(len(l.partitions[partition]))}
	l.partitions[partition] = append(l.partitions[partition], rec)
	close(l.grown)
	l.grown = make(chan struct{})
	return rec
}

// From returns up to most records from an offset on, and a channel that is closed
// when there are more.
func (l *Log) From(partition int32, offset int64, most int) ([]wallet.Record, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.partitions[partition]
	from := min(max(offset, 0), int64(len(all)))
	to := min(from+int64(most), int64(len(all)))
	return slices.Clone(all[from:to]), l.grown
}

// End returns the offset of the partition's next record.
func (l *Log) End(partition int32) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.partitions[partition]))
}

// Records returns everything in a partition.
func (l *Log) Records(partition int32) []wallet.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.partitions[partition])
}

// Dead returns the dead letters.
func (l *Log) Dead() []wallet.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.dead)
}

// Bury keeps a dead letter.
func (l *Log) Bury(rec wallet.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = append(l.dead, rec)
}
