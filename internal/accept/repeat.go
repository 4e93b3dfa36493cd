package accept

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// repeatTimeout bounds the look for what a request repeats.
const repeatTimeout = 500 * time.Millisecond

// submitUnwaited is submit for a request that does not wait. An operation whose idempotency key
// the ledger already has gets its stored outcome and is not journaled again, so that no client
// takes a repeat, or a key that was used for something else, for a new PENDING operation. While
// the ledger does not answer everything is PENDING.
func (in *Intake) submitUnwaited(ctx context.Context, ops []wallet.Operation) ([]wallet.Outcome, error) {
	repeated := in.repeated(ctx, ops)
	if len(repeated) == 0 {
		return in.submit(ctx, ops, 0)
	}
	var rest []wallet.Operation
	for _, op := range ops {
		if _, ok := repeated[op.ID]; !ok {
			rest = append(rest, op)
		}
	}
	var outs []wallet.Outcome
	if len(rest) > 0 {
		var err error
		if outs, err = in.submit(ctx, rest, 0); err != nil {
			return nil, err
		}
	}
	all := make([]wallet.Outcome, len(ops))
	for i := range ops {
		if done, ok := repeated[ops[i].ID]; ok {
			all[i] = resolve(&ops[i], &done, true)
			continue
		}
		all[i], outs = outs[0], outs[1:]
	}
	return all, nil
}

// repeated returns those of the operations that the ledger has, by id, and renews the
// balance for the newest. Only an id that is made of a key can be there already. The
// client going away is no reason not to know.
func (in *Intake) repeated(ctx context.Context, ops []wallet.Operation) map[uuid.UUID]wallet.Operation {
	var keys []wallet.Key
	for i := range ops {
		if wallet.IsKeyed(ops[i].ID) {
			keys = append(keys, ops[i].Key())
		}
	}
	if len(keys) == 0 || in.Ledger.Err() != nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	within, cancel := context.WithTimeout(ctx, repeatTimeout)
	defer cancel()
	done, err := in.Ledger.Outcomes(within, keys)
	if err != nil {
		in.Log.Debug("reading what a request repeats failed", "error", err)
		return nil
	}
	repeated := make(map[uuid.UUID]wallet.Operation, len(done))
	for _, op := range done {
		repeated[op.ID] = op
	}
	if len(done) > 0 {
		newest := slices.MaxFunc(done, func(a, b wallet.Operation) int { return cmp.Compare(a.Sequence, b.Sequence) })
		in.refreshBalance(ctx, &newest)
	}
	return repeated
}
