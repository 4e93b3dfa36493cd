package audit

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// tail finds the records of what the ledger has and the replay has not met: beyond
// the bounds, written or applied while the audit ran; and backfills. A direct
// operation, or a wallet, that is not noted as waiting for its record has it in the
// journal by then.
func (a *Audit) tail(ctx context.Context) error {
	if err := a.awaiting(ctx); err != nil {
		return err
	}
	if len(a.owed) == 0 {
		return nil
	}
	there, err := a.Journal.Extent(ctx)
	if err != nil {
		return err
	}
	maps.DeleteFunc(there.Ends, func(p int32, _ int64) bool { _, ok := a.bounds[p]; return !ok })
	if err := a.Journal.Replay(ctx, a.bounds, there.Ends, a.meetTail); err != nil {
		return err
	}
	for _, k := range sorted(a.owed) {
		o := a.owed[k]
		if k.ID == k.WalletID {
			a.find(walletFinding(NotJournaled, k.WalletID), "the wallet is in the ledger; the journal has no record of its creation, and none is to be written")
			continue
		}
		op := &wallet.Operation{ID: k.ID, WalletID: k.WalletID, Sequence: o.number}
		what := "the journal does not have it"
		if o.direct {
			what = "the journal has no backfill record of it, and none is to be written"
		}
		a.find(operationFinding(NotJournaled, op, o.receipt), "%s %d is in the ledger; %s", o.opType, o.amount, what)
	}
	return nil
}

// awaiting counts the direct operations whose backfill is still to be written.
func (a *Audit) awaiting(ctx context.Context) error {
	var direct []wallet.Key
	for k, o := range a.owed {
		if o.direct {
			direct = append(direct, k)
		}
	}
	for part := range slices.Chunk(direct, pageOperations) {
		waits, err := again(ctx, func() ([]wallet.Key, error) { return a.Ledger.AwaitingBackfill(ctx, part) })
		if err != nil {
			return err
		}
		for _, k := range waits {
			delete(a.owed, k)
			a.report.AwaitingBackfill++
		}
	}
	return nil
}

// meetTail settles what is owed; the rest of the tail is in flight.
func (a *Audit) meetTail(records []wallet.Record) error {
	for i := range records {
		r := &records[i]
		if r.Kind == wallet.KindCreate {
			delete(a.owed, wallet.Key{WalletID: r.WalletID, ID: r.WalletID})
		}
		if r.Kind != wallet.KindOperations && r.Kind != wallet.KindBackfill || r.Attempt > 0 {
			continue
		}
		for j := range r.Operations {
			op := &r.Operations[j]
			o, ok := a.owed[op.Key()]
			if !ok || o.direct != (r.Kind == wallet.KindBackfill) {
				continue
			}
			delete(a.owed, op.Key())
			a.meetOwed(r, op, o)
		}
	}
	return nil
}

func (a *Audit) meetOwed(r *wallet.Record, op *wallet.Operation, o owed) {
	has := &wallet.Operation{ID: op.ID, WalletID: op.WalletID, Type: o.opType, Amount: o.amount, Sequence: o.number}
	switch {
	case !op.SameRequest(*has):
		a.find(operationFinding(RequestDiffers, has, r.Receipt), "the journal asks for %s %d, the ledger has %s %d", op.Type, op.Amount, o.opType, o.amount)
	case o.direct && op.Sequence != o.number:
		a.find(operationFinding(BackfillDiffer, has, r.Receipt), "the journal's backfill record says sequence %d, the ledger %d", op.Sequence, o.number)
	case !o.direct && o.receipt != r.Receipt:
		a.find(operationFinding(ReceiptDiffers, has, r.Receipt), "the ledger says that it was met first at %s", o.receipt)
	case o.early:
		a.find(operationFinding(OutOfOrder, has, r.Receipt), "it was applied before operations that are before it in the journal")
	}
}

func sorted(m map[wallet.Key]owed) []wallet.Key {
	return slices.SortedFunc(maps.Keys(m), func(x, y wallet.Key) int {
		return cmp.Or(slices.Compare(x.WalletID[:], y.WalletID[:]), cmp.Compare(m[x].number, m[y].number), slices.Compare(x.ID[:], y.ID[:]))
	})
}

// cache compares the cached balances with the ledger at their sequence. The cache
// is read first: what it has, was committed.
func (a *Audit) cache(ctx context.Context) error {
	var ledgerErr error
	err := a.Cache.Each(ctx, a.Wallet, func(cached []wallet.Wallet, undecodable []uuid.UUID) error {
		for _, id := range undecodable {
			a.find(walletFinding(CacheDiffers, id), "the cached value does not decode")
		}
		ledgerErr = a.compareCached(ctx, cached)
		return ledgerErr
	})
	if ledgerErr == nil && err != nil {
		a.report.CacheUnread = err.Error()
	}
	return ledgerErr
}

func (a *Audit) compareCached(ctx context.Context, cached []wallet.Wallet) error {
	now, at := map[uuid.UUID]wallet.State{}, map[uuid.UUID]wallet.Amount{}
	_, err := again(ctx, func() (bool, error) {
		rows, then, err := a.Ledger.BalancesAt(ctx, cached)
		for _, w := range rows {
			now[w.ID] = w.State
		}
		for _, op := range then {
			at[op.WalletID] = op.BalanceAfter
		}
		return true, err
	})
	if err != nil {
		return err
	}
	for _, w := range cached {
		if state, ok := now[w.ID]; ok {
			a.report.Cached++
			a.compareCachedOne(w, state, at[w.ID])
		} else {
			a.report.CachedElsewhere++
		}
	}
	return nil
}

func (a *Audit) compareCachedOne(w wallet.Wallet, now wallet.State, then wallet.Amount) {
	f := walletFinding(CacheDiffers, w.ID)
	f.Sequence = &w.Sequence
	switch {
	case w.Sequence > now.Sequence:
		a.find(f, "the cache says %d at sequence %d; the ledger is at %d only", w.Balance, w.Sequence, now.Sequence)
	case w.Balance != then:
		a.find(f, "the cache says %d at sequence %d, where the ledger has %d", w.Balance, w.Sequence, then)
	}
}
