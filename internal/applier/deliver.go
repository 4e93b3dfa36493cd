package applier

import "github.com/walletd/walletd/internal/wallet"

// Delivered returns the offset before which everything of a partition was delivered;
// 0 if this replica does not own it.
func (a *Applier) Delivered(partition int32) int64 {
	w := a.worker(partition)
	if w == nil {
		return 0
	}
	return w.door.end()
}

// Fetched delivers records that the journal's reader fetched, in offset order
// and without omission. false asks to fetch no more until Resume.
func (a *Applier) Fetched(partition int32, records []wallet.Record) bool {
	w := a.worker(partition)
	return w == nil || w.door.fetched(records)
}

// MayFetch reports whether the reader, which has paused, may go on fetching; if not, Resume
// will say so.
func (a *Applier) MayFetch(partition int32) bool {
	w := a.worker(partition)
	return w == nil || w.door.mayFetch()
}

// Acknowledged notes a record of this replica's own that the broker has
// acknowledged. Its operations stay with the lane until their outcome is known, for
// the direct way must not pass them.
func (a *Applier) Acknowledged(rec wallet.Record) {
	if rec.Kind != wallet.KindBackfill && rec.Attempt == 0 {
		a.lanes.keep(rec, a.Limits.UnsettledPerWallet, a.Limits.Unsettled)
	}
}

// Deliver brings acknowledged records of this replica's own, those of a partition one
// after the other in offset order. Where the replica owns the partition they are
// applied without waiting for the fetch, and those that come together in one
// transaction, if nothing speaks against it.
func (a *Applier) Deliver(records ...wallet.Record) {
	var owners []*worker
	var batches []wallet.ExpectedBatch
	for len(records) > 0 {
		p, n := records[0].Receipt.Partition, 1
		for n < len(records) && records[n].Receipt.Partition == p {
			n++
		}
		w, own := a.worker(p), records[:n]
		records = records[n:]
		if w == nil {
			continue
		}
		operations := w.door.acknowledged(own...)
		if operations == 0 {
			continue
		}
		owners = append(owners, w)
		if w.oldestApplying.Load() == 0 { // else its batch comes later than the others'
			batches = append(batches, wallet.ExpectedBatch{Partition: p, Operations: operations})
		}
	}
	a.Ledger.Expect(batches...)
	for _, w := range owners {
		w.door.signal()
	}
}
