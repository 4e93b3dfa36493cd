package applier

import (
	"context"
	"errors"

	"github.com/walletd/walletd/internal/wallet"
)

// tell announces what the ledger has of records that it has passed without this
// worker's knowing: their commit had an unknown outcome and was written after all.
// It asks until the ledger answers, for nobody else can tell; what the ledger refuses to
// read of them stays untold. False: ctx has ended.
func (w *worker) tell(ctx context.Context, passed []wallet.Record) bool {
	if len(passed) == 0 {
		return true
	}
	q := wallet.SnapshotQuery{Wallets: walletsOf(passed)}
	for _, r := range passed {
		for _, op := range r.Operations {
			q.Operations = append(q.Operations, op.Key())
		}
	}
	s, err := w.applier.Ledger.Read(ctx, q)
	for pause := newPause(w.applier.Limits); err != nil; s, err = w.applier.Ledger.Read(ctx, q) {
		w.log.Warn("what was passed is not announced yet", "error", err)
		if errors.Is(err, wallet.ErrRefused) {
			n := len(passed) / 2
			return n == 0 || w.tell(ctx, passed[:n]) && w.tell(ctx, passed[n:])
		}
		if pause.wait(ctx) != nil {
			return false
		}
	}
	c := wallet.Committed{Partition: w.partition, Next: w.next.Load()}
	for id, state := range s.Wallets {
		c.Wallets = append(c.Wallets, wallet.Wallet{ID: id, State: state, UpdatedAt: w.applier.rowTime()})
	}
	for _, r := range passed {
		for _, op := range r.Operations {
			if done, ok := s.Operations[op.Key()]; ok {
				c.Results = append(c.Results, wallet.Result{Operation: done, Replica: r.Replica})
			}
		}
	}
	w.committed <- c
	return true
}

// announceAll tells others what was committed, while the worker is at its next batch.
func (w *worker) announceAll() {
	for c := range w.committed {
		w.applier.announce(c)
	}
}
