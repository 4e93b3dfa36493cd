package simtest

import (
	"cmp"
	"context"
	"sync"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/wallet"
)

// Journal is a replica's way to the Log: it writes what its applier asks for,
// acknowledges it to the applier, and fetches the partitions that the replica
// owns. It implements applier.Journal. Safe for concurrent use.
type Journal struct {
	*Log
	Replica uuid.UUID
	Applier *applier.Applier // whom records are delivered to; set before use
	Fetch   int              // records of one fetch

	mu      sync.Mutex
	refuse  func(rec wallet.Record) error
	readers map[int32]*reader
}

// NewJournal returns a replica's journal, which fetches nothing yet.
func NewJournal(log *Log) *Journal {
	return &Journal{Log: log, Replica: uuid.New(), Fetch: 1000, readers: map[int32]*reader{}}
}

// Refuse has every later write and dead letter fail with what f returns; nil lets
// all through again.
func (j *Journal) Refuse(f func(rec wallet.Record) error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.refuse = f
}

func (j *Journal) refused(rec wallet.Record) error {
	j.mu.Lock()
	f := j.refuse
	j.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(rec)
}

// Append implements applier.Journal.
func (j *Journal) Append(records ...wallet.Record) (receipts []wallet.Receipt, err error) {
	for _, rec := range records {
		receipt, e := j.append(rec)
		receipts, err = append(receipts, receipt), cmp.Or(err, e)
	}
	return receipts, err
}

func (j *Journal) append(rec wallet.Record) (wallet.Receipt, error) {
	if err := j.refused(rec); err != nil {
		return wallet.NoReceipt, err
	}
	rec = j.Log.Append(rec)
	j.Applier.Acknowledged(rec)
	j.Applier.Deliver(rec)
	return rec.Receipt, nil
}

// Bury implements applier.Journal.
func (j *Journal) Bury(_ context.Context, rec wallet.Record) error {
	if err := j.refused(rec); err != nil {
		return err
	}
	j.Log.Bury(rec)
	return nil
}

// Write journals operations of one wallet as one accepted record.
func (j *Journal) Write(ops ...wallet.Operation) (wallet.Receipt, error) {
	return j.append(Record(j.Replica, ops...))
}

// Record is a record as a replica accepts it.
func Record(replica uuid.UUID, ops ...wallet.Operation) wallet.Record {
	return wallet.Record{Kind: wallet.KindOperations, WalletID: ops[0].WalletID, Operations: ops, Replica: replica}
}

// reader fetches one partition.
type reader struct {
	cancel context.CancelFunc
	ended  chan struct{}
	resume chan struct{} // holds one token: a resume before the pause is not lost
}

// Own makes the replica an owner of the partition; others may believe the same of
// themselves.
func (j *Journal) Own(partition int32) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{cancel: cancel, ended: make(chan struct{}), resume: make(chan struct{}, 1)}
	j.mu.Lock()
	j.readers[partition] = r
	j.mu.Unlock()
	go func() {
		defer close(r.ended)
		j.read(ctx, r, partition)
	}()
}

func (j *Journal) read(ctx context.Context, r *reader, partition int32) {
	next, err := j.Applier.Assigned(ctx, j.Topic, partition)
	if err != nil {
		return
	}
	for {
		records, grown := j.From(partition, next, j.Fetch)
		if len(records) == 0 {
			select {
			case <-grown:
			case <-ctx.Done():
				return
			}
			continue
		}
		next += int64(len(records))
		if j.Applier.Fetched(partition, records) {
			continue
		}
		select {
		case <-r.resume:
		case <-ctx.Done():
			return
		}
	}
}

// Resume implements applier.Journal.
func (j *Journal) Resume(partition int32) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r := j.readers[partition]; r != nil {
		select {
		case r.resume <- struct{}{}:
		default:
		}
	}
}

// Lose ends the ownership of a partition, if there is one.
func (j *Journal) Lose(partition int32) {
	j.mu.Lock()
	r := j.readers[partition]
	delete(j.readers, partition)
	j.mu.Unlock()
	if r != nil {
		r.cancel()
		<-r.ended
		j.Applier.Revoked(partition)
	}
}

// Close loses all partitions.
func (j *Journal) Close() {
	for p := range j.Partitions() {
		j.Lose(int32(p))
	}
}
