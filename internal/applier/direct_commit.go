package applier

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// applyCalls commits earlier operations and calls: in batches of their own what is too
// much for one, and the rest and the calls as one. If SQL refuses that, one call after the
// other, so that only the offender fails.
func (a *Applier) applyCalls(ln *lane, earlier []unsettled, calls []*call) wallet.Committed {
	n, most := len(earlier), a.Limits.BatchOperations
	for _, c := range calls {
		n += len(c.ops)
	}
	if n == 0 { // what was to be applied is settled by now
		return wallet.Committed{Partition: wallet.NoPartition}
	}
	if piece := min(len(earlier), most); piece > 0 && n > most {
		b, err := a.commitDirect(ln, earlier[:piece], nil)
		if err != nil {
			return ln.fail(calls, err)
		}
		b.advance()
		return b.announcement().And(a.applyCalls(ln, earlier[piece:], calls))
	}
	b, err := a.commitDirect(ln, earlier, calls)
	if err == nil {
		b.advance()
		for _, c := range calls {
			c.out = b.outcomes(c.ops)
		}
		return b.announcement()
	}
	if errors.Is(err, wallet.ErrRefused) && len(calls) > 1 {
		ln.cached = false
		all := wallet.Committed{Partition: wallet.NoPartition}
		for i := range calls {
			all = all.And(a.applyCalls(ln, earlier, calls[i:i+1]))
		}
		return all
	}
	return ln.fail(calls, err)
}

// fail tells the calls why nothing of them was committed, or that it is not known.
func (ln *lane) fail(calls []*call, err error) wallet.Committed {
	ln.cached = false
	for _, c := range calls {
		c.err = err
	}
	return wallet.Committed{Partition: wallet.NoPartition}
}

// outcomes returns what was decided of the operations.
func (b *batch) outcomes(ops []wallet.Operation) []wallet.Operation {
	out := make([]wallet.Operation, len(ops))
	for i := range ops {
		out[i] = *b.decided[ops[i].Key()]
	}
	return out
}

// commitDirect tries until the ledger has decided. Conflicts are expected: other
// replicas apply directly too. The tries are bounded.
func (a *Applier) commitDirect(ln *lane, earlier []unsettled, calls []*call) (*batch, error) {
	ctx := context.Background()
	records := directRecords(ln.wallet, earlier, calls)
	var again reread
	for try := 1; ; try++ {
		b := newBatch(a.rowTime(), records, map[uuid.UUID]*lane{ln.wallet: ln}, wallet.Direct, a.Limits)
		_, _, err := b.load(ctx, a.Ledger, again)
		if err == nil {
			err = a.Ledger.Commit(ctx, b.compute())
		}
		final := err == nil || dropsBatch(err) || errors.Is(err, wallet.ErrRefused) || errors.Is(err, wallet.ErrLocked)
		if final || try == a.Limits.DirectTries {
			a.metrics.direct(b, err)
			return b, err
		}
		again = reread{ids: true, versions: true}
	}
}

// directRecords puts the earlier operations and the calls into the form in which
// a batch takes them.
func directRecords(id uuid.UUID, earlier []unsettled, calls []*call) []wallet.Record {
	records := make([]wallet.Record, 0, len(earlier)+1)
	for _, u := range earlier {
		kind := wallet.KindOperations
		if u.IsCreation() {
			kind = wallet.KindCreate
		}
		records = append(records, wallet.Record{Kind: kind, WalletID: id, Operations: []wallet.Operation{u.Operation}, Receipt: u.Receipt})
	}
	last := wallet.Record{Kind: wallet.KindOperations, WalletID: id, Receipt: wallet.NoReceipt}
	for _, c := range calls {
		last.Operations = append(last.Operations, c.ops...)
	}
	if len(last.Operations) == 0 {
		return records
	}
	return append(records, last)
}
