// Package accept takes in what clients ask for: it decides whether a request may
// come in, journals it, or has it applied directly while the journal cannot be
// written, and waits for the outcome as long as the client wants.
package accept

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/walletd/walletd/internal/wallet"
)

// Config is what an Intake is made of.
type Config struct {
	Journal  Journal
	Ledger   Ledger
	Balances Balances
	Applier  Applier
	Limits   Limits

	BalanceTTL time.Duration // how long a cached balance may be old
	Log        *slog.Logger
	Now        func() time.Time
}

// Limits are the bounds of accepting.
type Limits struct {
	WalletOperations int           // most unanswered operations of one wallet, and, counted apart, most without an outcome; more get 429
	Operations       int           // the same of this replica
	WalletWaits      int           // unanswered requests of one wallet, beyond which none waits: 202
	Waits            int           // the same of this replica
	DirectTimeout    time.Duration // of the direct way; beyond it 503, of unknown outcome
	ListLength       int           // of a wallet's requeued list; at it 429
}

// Intake accepts requests. Safe for concurrent use.
type Intake struct {
	Config
	gates   *gates
	waiters *waiters
	clock   atomic.Int64 // the last AcceptedAt, in microseconds
	closed  atomic.Bool
}

// New returns an Intake. Run has to be running for waits to end on a replica that
// does not own the partition, and when the ledger stops answering.
func New(cfg Config) *Intake {
	return &Intake{Config: cfg, gates: newGates(cfg.Limits, cfg.Applier, cfg.Now), waiters: newWaiters(cfg.Now)}
}

// Close ends all waits: requests get what is known by now.
func (in *Intake) Close() {
	in.closed.Store(true)
	in.waiters.wakeAll()
}

// waitGrace is how long requests that wait go on waiting when the service stops.
const waitGrace = 2 * time.Second

// Drain lets waiting requests go on for a moment and then ends their waits.
func (in *Intake) Drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, waitGrace)
	defer cancel()
	<-ctx.Done()
	in.Close()
}

// retrySoon is what a client is told to wait for components to come back.
const retrySoon = 2 * time.Second

// Submit is SubmitAll of one operation. That its idempotency key belongs to
// another one is an error here.
func (in *Intake) Submit(ctx context.Context, op wallet.Operation, wait time.Duration) (wallet.Outcome, error) {
	out, err := in.SubmitAll(ctx, []wallet.Operation{op}, wait)
	if err != nil {
		return wallet.Outcome{}, err
	}
	if out[0].KeyReused {
		return wallet.Outcome{}, &wallet.Error{Code: wallet.CodeIdempotencyKeyReused, Operation: &out[0].Operation,
			Detail: "the idempotency key belongs to an operation of another type or amount; nothing was applied"}
	}
	return out[0], nil
}

// SubmitAll takes in operations of one wallet, at least one and no more than
// wallet.MaxRecordOperations, whose id, wallet, type and amount are set, and waits
// for their outcomes, which it returns in order: those that are not known are
// PENDING. Without a wait, only what an earlier request asked for is not PENDING.
// No error: all are accepted, and each will be applied or refused exactly once, in
// order. An error, a *wallet.Error: none is accepted, or nobody knows (its Fate). An id
// that is there again is a replay of its first occurrence. The operations are the
// Intake's from here on.
func (in *Intake) SubmitAll(ctx context.Context, ops []wallet.Operation, wait time.Duration) ([]wallet.Outcome, error) {
	id := ops[0].WalletID
	leave, mayWait, err := in.gates.enter(id, len(ops))
	if err != nil {
		return nil, err
	}
	defer leave()
	if !mayWait {
		wait = 0
	}
	if err := in.learnWallet(ctx, id); err != nil {
		return nil, err
	}
	at := in.tick()
	for i := range ops {
		ops[i].AcceptedAt, ops[i].Receipt = at, wallet.NoReceipt
	}
	if wait <= 0 {
		return in.submitUnwaited(ctx, ops)
	}
	return in.submit(ctx, ops, wait)
}

// submit has the operations of a request that was let in journaled, or applied
// directly, and waits for their outcomes.
func (in *Intake) submit(ctx context.Context, ops []wallet.Operation, wait time.Duration) ([]wallet.Outcome, error) {
	w := in.waiters.add(ops...)
	defer in.waiters.remove(w)
	once := w.firsts()
	in.Journal.Write(w.journaled, once...)
	if journalErr := in.await(w, wait); journalErr != nil {
		// What was not acknowledged may have been applied meanwhile.
		if err := in.direct(ctx, once, journalErr); err != nil && w.open.Load() > 0 {
			return nil, err
		}
		return w.outcomes, nil
	}
	in.waiters.remove(w)
	if wait <= 0 {
		w.pendAll()
	} else {
		w.pendUnknown()
	}
	return w.outcomes, nil
}

// await waits for the outcomes of operations that are being journaled, whether the
// client stays or not. Even if that wait ends early it waits for the journal's answer:
// a 202 promises that the record is journaled. The error is the journal's.
func (in *Intake) await(w *waiter, wait time.Duration) error {
	// A wait that would begin after the ledger fell, or after Close, is left out here;
	// those that began before are woken.
	if wait > 0 && in.Ledger.Err() == nil && !in.closed.Load() {
		over := time.AfterFunc(wait, w.wake)
		<-w.woken
		over.Stop()
		if w.open.Load() == 0 {
			return nil // the ledger has them all
		}
	}
	w.answered.Wait()
	return w.err
}

// resolve turns what the ledger has under the operation's id into the answer to
// this request. AcceptedAt, which the ledger keeps, tells whether it was this request that
// made the operation. repeats says that it was not where the time cannot tell: the id came
// earlier in the same request, its outcome was there before, or its record is another's,
// accepted in the same microsecond.
func resolve(asked, done *wallet.Operation, repeats bool) wallet.Outcome {
	if !done.SameRequest(*asked) {
		return wallet.Outcome{Operation: *done, KeyReused: true}
	}
	return wallet.Outcome{Operation: *done, Replayed: repeats || !done.AcceptedAt.Equal(asked.AcceptedAt)}
}

// tick returns the present time in microseconds, later than any it returned before.
func (in *Intake) tick() time.Time {
	for {
		last := in.clock.Load()
		now := max(in.Now().UnixMicro(), last+1)
		if in.clock.CompareAndSwap(last, now) {
			return time.UnixMicro(now).UTC()
		}
	}
}
