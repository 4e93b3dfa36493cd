package audit

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// stillThere looks again at what was requeued and has not turned up in the ledger: it
// has to be one or the other still.
func (a *Audit) stillThere(ctx context.Context) error {
	// By wallet, so that a list is read with few pages.
	keys := slices.SortedFunc(maps.Keys(a.waiting), func(x, y wallet.Key) int { return wallet.CompareIDs(x.WalletID, y.WalletID) })
	for part := range slices.Chunk(keys, pageOperations) {
		q := wallet.SnapshotQuery{Operations: part, EntriesPerList: maxListed}
		for i, k := range part {
			if i == 0 || part[i-1].WalletID != k.WalletID {
				q.Lists = append(q.Lists, k.WalletID)
			}
		}
		s, err := again(ctx, func() (wallet.Snapshot, error) { return a.Ledger.Read(ctx, q) })
		if err != nil {
			return err
		}
		a.compareStillThere(part, &s)
	}
	return nil
}

func (a *Audit) compareStillThere(keys []wallet.Key, s *wallet.Snapshot) {
	listed := map[wallet.Key]bool{}
	for _, entries := range s.Entries {
		for _, e := range entries {
			listed[e.Key()] = true
		}
	}
	for _, k := range keys {
		if _, ok := s.Operations[k]; !ok && !listed[k] {
			w := a.waiting[k]
			a.find(operationFinding(Lost, &wallet.Operation{ID: k.ID, WalletID: k.WalletID}, w.receipt), "%s %d was requeued, and now is neither in the list nor in the ledger", w.opType, w.amount)
		} else if !ok {
			a.report.Requeued++
		}
	}
}

// lists looks at every requeued list: what it holds is applied one day, and so has to be
// in the journal, and to have an owner who knows how much it is.
func (a *Audit) lists(ctx context.Context) error {
	after, limit := a.walk()
	for {
		page, err := again(ctx, func() ([]wallet.ListAudit, error) { return a.Ledger.Lists(ctx, after, limit) })
		if err != nil {
			return err
		}
		for _, l := range page {
			if a.outside(l.WalletID) {
				continue
			}
			if err := a.list(ctx, l); err != nil {
				return err
			}
		}
		if len(page) < limit || a.Wallet != uuid.Nil {
			return nil
		}
		after = page[len(page)-1].WalletID
	}
}

func (a *Audit) list(ctx context.Context, l wallet.ListAudit) error {
	if owner := a.PartitionAmong(l.WalletID, a.partitions); l.Length != l.Entries || l.Partition != owner {
		a.find(walletFinding(ListDiffers, l.WalletID), "its requeued list has %d operations; the list's head says %d, of partition %d, and the wallet's partition is %d",
			l.Entries, l.Length, l.Partition, owner)
	}
	s, err := again(ctx, func() (wallet.Snapshot, error) {
		return a.Ledger.Read(ctx, wallet.SnapshotQuery{Lists: []uuid.UUID{l.WalletID}, EntriesPerList: maxListed})
	})
	if err != nil {
		return err
	}
	for _, e := range s.Entries[l.WalletID] {
		replayed := e.Receipt.Offset < a.bounds[e.Receipt.Partition] // else it has joined since
		if replayed && !a.entries[entry{e.Key(), e.Receipt}] {
			a.find(operationFinding(NotJournaled, &e.Operation, e.Receipt), "%s %d is requeued; the journal does not have it there", e.Type, e.Amount)
		}
	}
	return nil
}
