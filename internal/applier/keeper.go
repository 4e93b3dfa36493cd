package applier

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// keeper looks after what a partition's owner owes the journal: copies for the
// requeued lists that are due, a create record for every wallet that was made
// without one, and a backfill record for every direct operation.
// Both may be written twice, by a crash or by two owners; that is harmless.
type keeper struct {
	*worker
	copies map[uuid.UUID]int64 // offset of the wallet's last copy
}

func newKeeper(w *worker) *keeper { return &keeper{w, map[uuid.UUID]int64{}} }

func (k *keeper) run(ctx context.Context) {
	tick := time.NewTicker(k.Limits.KeeperInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		if ctx.Err() != nil {
			return
		}
		if k.count.Load() > 0 {
			k.requeue(ctx)
		}
		if k.partition == backfiller {
			k.backfill(ctx)
		}
	}
}

// requeue appends a copy of the first operation of each list that is due, unless
// the wallet's last copy is still on its way.
func (k *keeper) requeue(ctx context.Context) {
	due, err := k.Ledger.Due(ctx, k.partition, k.now(), k.Limits.CopiesPerRound)
	if err != nil {
		k.log.Debug("the ledger does not tell which lists are due", "error", err)
		return
	}
	for id, offset := range k.copies {
		if offset < k.next.Load() {
			delete(k.copies, id)
		}
	}
	for _, d := range due {
		if _, ok := k.copies[d.WalletID]; !ok {
			k.copy(ctx, d)
		}
	}
}

func (k *keeper) copy(ctx context.Context, d wallet.Due) {
	rec := wallet.Record{Kind: d.First.Kind, WalletID: d.WalletID, Attempt: d.Attempt + 1, Operations: []wallet.Operation{d.First.Operation}}
	receipt, err := k.Journal.Append(ctx, rec)
	if err != nil {
		k.log.Warn("copy of a requeued operation not acknowledged", "wallet", d.WalletID, "error", err)
		return
	}
	k.copies[d.WalletID] = receipt.Offset
	k.Metrics.requeued()
}

// backfiller is the partition whose owner writes the backfill records of all.
const backfiller = 0

// backfill appends creations and direct operations to the journal, wallet by wallet,
// and notes in the ledger that they are there.
func (k *keeper) backfill(ctx context.Context) {
	ops, err := k.Ledger.Unjournaled(ctx, k.Limits.Backfills)
	if err != nil {
		k.log.Debug("the ledger does not tell which operations lack a backfill record", "error", err)
		return
	}
	for len(ops) > 0 {
		n := 1
		for n < len(ops) && ops[n].WalletID == ops[0].WalletID {
			n++
		}
		if err := k.backfillWallet(ctx, ops[:n]); err != nil {
			k.log.Debug("direct operations wait for their backfill record", "wallet", ops[0].WalletID, "error", err)
			return
		}
		ops = ops[n:]
	}
}

func (k *keeper) backfillWallet(ctx context.Context, ops []wallet.Operation) error {
	for _, rec := range missing(ops) {
		if _, err := k.Journal.Append(ctx, rec); err != nil {
			return err
		}
	}
	ids := make([]uuid.UUID, len(ops))
	for i := range ops {
		ids[i] = ops[i].ID
	}
	return k.Ledger.Journaled(ctx, ops[0].WalletID, ids)
}

// missing returns the records that the journal lacks of one wallet: its creation
// first, which its operations need.
func missing(ops []wallet.Operation) (records []wallet.Record) {
	backfill := wallet.Record{Kind: wallet.KindBackfill, WalletID: ops[0].WalletID}
	for i, op := range ops {
		if op.IsCreation() {
			records = append(records, wallet.Record{Kind: wallet.KindCreate, WalletID: op.WalletID, Operations: ops[i : i+1]})
		} else {
			backfill.Operations = append(backfill.Operations, op)
		}
	}
	if len(backfill.Operations) > 0 {
		records = append(records, backfill)
	}
	return records
}
