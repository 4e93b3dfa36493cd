package load

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/cmd/walletctl/internal/api"
	"github.com/walletd/walletd/internal/wallet"
)

// verifier reads what the load left behind.
type verifier struct {
	api      *api.Client
	tally    *tally
	faults   *Faults
	history  History
	followed int
	deadline time.Time // for accepted operations to get their outcome
}

// verify follows the receipts and audits each wallet. It goes on after ctx ends:
// the deadline and the requests' own timeout bound it.
func (v *verifier) verify(ctx context.Context, targets []target) {
	ctx = context.WithoutCancel(ctx)
	for _, r := range v.tally.receipts {
		v.follow(ctx, r)
	}
	for i, t := range targets {
		v.wallet(ctx, i, t.id)
	}
	if n := v.tally.answers.Unreadable; n > 0 {
		v.faults.addMany(n, faultUnreadable, "%d answers claim an outcome that they do not say", n)
	}
}

// follow asks for an accepted operation at its Location until its outcome is
// known; that is then what its request was told.
func (v *verifier) follow(ctx context.Context, r receipt) {
	err := v.until(func() (bool, error) {
		answer, err := v.api.Follow(ctx, r.location)
		if err != nil || answer.Value.Status == client.Pending {
			return false, err
		}
		r.record.learn(&answer.Value)
		return true, nil
	})
	v.followed++
	if err != nil {
		v.faults.add(faultPending, "operation %s at its Location: %v", r.record.operation, err)
	}
}

// learn notes an outcome that came after the answer.
func (r *record) learn(op *client.Operation) {
	r.late, r.told = true, toldFailed
	if op.Status == client.Applied {
		r.told = toldApplied
	}
	if op.Sequence != nil && op.BalanceAfter != nil {
		r.sequence, r.balance = *op.Sequence, wallet.Amount(*op.BalanceAfter)
	}
	var reason wireReason
	_ = reason.UnmarshalText([]byte(reasonOf(op)))
	r.reason = wallet.Reason(reason)
}

// errOpen is the end of the drain time.
var errOpen = errors.New("no outcome within the drain time")

// until repeats look until it is done, is refused for good, or time is over.
func (v *verifier) until(look func() (bool, error)) error {
	for wait := minDrainPoll; ; wait = min(2*wait, maxDrainPoll) {
		done, err := look()
		if done {
			return nil
		}
		var refusal *api.Refusal
		if errors.As(err, &refusal) && !refusal.Temporary() {
			return err
		}
		if time.Now().Add(wait).After(v.deadline) {
			return errors.Join(errOpen, err)
		}
		time.Sleep(wait)
	}
}

// wallet audits one wallet, again as long as time may still mend what was found.
func (v *verifier) wallet(ctx context.Context, index int, id uuid.UUID) {
	var last *audit
	err := v.until(func() (bool, error) {
		a, err := v.read(ctx, index, id)
		if err != nil {
			return false, err
		}
		last = a
		return !a.unfinished(), nil
	})
	if last == nil {
		v.faults.add(faultUnreadable, "wallet %s: %v", id, err)
		return
	}
	if last.waiting > 0 {
		last.faults.addMany(int64(last.waiting), faultPending, "wallet %s: %d operations are still PENDING", id, last.waiting)
	}
	v.faults.merge(last.faults)
	v.history.add(last.history)
}

// read audits the wallet once: balance first, then the whole history by cursor.
func (v *verifier) read(ctx context.Context, index int, id uuid.UUID) (*audit, error) {
	answer, err := v.api.Wallet(ctx, id, 0, true)
	if err != nil {
		return nil, err
	}
	w := answer.Value
	a := newAudit(w, v.tally.book.of(index))
	limit := api.PageOperations
	params := client.ListOperationsParams{Limit: &limit}
	for {
		page, err := v.api.Operations(ctx, id, params)
		if err != nil {
			return nil, err
		}
		for i := range page.Value.Operations {
			a.operation(&page.Value.Operations[i], w)
		}
		if page.Value.NextCursor == "" {
			break
		}
		params.Cursor = &page.Value.NextCursor
	}
	a.finish()
	return a, v.cached(ctx, id, w, a)
}

// cached compares the balance as every client reads it, from the cache, with the ledger's.
func (v *verifier) cached(ctx context.Context, id uuid.UUID, ledger client.Wallet, a *audit) error {
	answer, err := v.api.Wallet(ctx, id, ledger.Sequence, false)
	if err != nil {
		return err
	}
	if w := answer.Value; w.Sequence != ledger.Sequence || w.Balance != ledger.Balance {
		a.stale = true
		a.faults.add(faultWallet, "wallet %s: balance %d at sequence %d, and past the cache %d at %d",
			id, w.Balance, w.Sequence, ledger.Balance, ledger.Sequence)
	}
	return nil
}
