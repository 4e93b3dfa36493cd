package accept

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/walletd/walletd/internal/wallet"
)

const (
	pollEvery      = 50 * time.Millisecond  // the one ledger read that all waiters share
	overdueAfter   = 500 * time.Millisecond // an announcement that has not come by then is lost
	pollOperations = 2_000                  // of one read
	pollReads      = 50                     // of one look, in which some are refused; the others wait for the next
	progressEvery  = time.Second            // looks at the ledger's offsets, as a rule
	progressMuch   = 500                    // operations settled by one look: announcements fail, so the next look follows at once
	sweepEvery     = time.Second            // of gates that nothing goes through
)

// Complete hands outcomes to the requests that wait for them.
func (in *Intake) Complete(ops []wallet.Operation) {
	for i := range ops {
		in.waiters.complete(&ops[i])
	}
}

// Run asks the ledger for outcomes that no announcement brings, and for its
// progress, and ends the waits for outcomes when it stops answering, until ctx ends.
func (in *Intake) Run(ctx context.Context) {
	var rousing sync.WaitGroup
	defer rousing.Wait()
	rousing.Go(func() { in.rouse(ctx) })
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var swept, listed, asked time.Time
	every := progressEvery
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := in.Now()
		if now.Sub(swept) >= sweepEvery {
			swept = now
			in.gates.sweep()
		}
		if in.Ledger.Err() != nil {
			continue
		}
		in.poll(ctx)
		if now.Sub(listed) >= progressEvery {
			listed = now
			in.noteFull(ctx)
		}
		if now.Sub(asked) >= every {
			asked, every = now, min(2*every, progressEvery)
			if in.progress(ctx) >= progressMuch {
				every = pollEvery / 2 // the next tick, however late this one was
			}
		}
	}
}

// rouse wakes all waiting requests whenever the ledger stops answering, and has the gate
// forgive what is accepted until it answers again. It watches for all of them, so that
// not every request has to, and asks nothing that could hang as the ledger does.
func (in *Intake) rouse(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-in.Ledger.Down():
			in.gates.replica.forgive(in.tick())
			in.waiters.wakeAll()
		}
		select { // it stays down for a while
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// poll reads, once for all of them, the outcomes of waiters that cannot or did not
// get an announcement: another replica owns their partition and Redis is down, or
// they have waited for long.
func (in *Intake) poll(ctx context.Context) {
	now, deaf := in.Now(), !in.Balances.Listening()
	keys := in.waiters.overdue(now.Add(-pollEvery), pollOperations, func(w *waiter) bool {
		r := w.place()
		return r.Known() && (deaf && !in.Applier.Owns(r.Partition) || now.Sub(w.since) > overdueAfter)
	})
	if len(keys) == 0 {
		return
	}
	var ops []wallet.Operation
	_, err := wallet.InParts(keys, pollReads, func(some []wallet.Key) error {
		found, err := in.Ledger.Outcomes(ctx, some)
		if err == nil {
			ops = append(ops, found...)
		}
		return err
	})
	if err != nil {
		in.Log.Warn("reading outcomes from the ledger failed", "waiting", len(keys), "error", err)
	}
	if len(ops) == 0 {
		return
	}
	// The owner's announcement may still be on its way: who is told an outcome finds
	// it in the balance.
	_ = in.Balances.PutMaybeStale(ctx, wallet.Newest(slices.Values(ops))...) // what could not be put is remembered
	in.Complete(ops)
}

// progress learns what the ledger has passed. It returns how many operations that settled:
// as a rule few, for announcements did.
func (in *Intake) progress(ctx context.Context) (settled int) {
	offsets, err := in.Ledger.Offsets(ctx)
	if err == nil {
		settled, err = in.Applier.Reconcile(ctx, offsets)
	}
	if err != nil {
		in.Log.Warn("reading the ledger's progress failed", "error", err)
	}
	return settled
}

// noteFull learns which wallets' requeued lists are full. Nobody is refused for a list whose
// length cannot be read.
func (in *Intake) noteFull(ctx context.Context) {
	full, err := in.Ledger.FullLists(ctx, in.Limits.ListLength)
	if err != nil {
		in.Log.Warn("reading full requeued lists failed", "error", err)
	}
	if err == nil || errors.Is(err, wallet.ErrRefused) {
		in.gates.setFull(full)
	}
}
