// Package accept takes in what clients ask for: it decides whether a request may
// come in, journals it, or has it applied directly while the journal cannot be
// written, and waits for the outcome as long as the client wants.
package accept

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Journal is where accepted requests are kept.
type Journal interface {
	// Write journals operations of one wallet, or its creation, in one record. done is
	// called once, in a bounded time, and must not wait: with the record's receipt, with
	// ErrNotJournaled, or with ErrUnacknowledged if nobody knows.
	Write(done func(wallet.Receipt, error), ops ...wallet.Operation)
	// Reaches reports whether the journal has a receipt's place: its end is beyond it.
	Reaches(ctx context.Context, r wallet.Receipt) (bool, error)
	// MayHave reports whether a partition is the one of a wallet's records; true while that is
	// not known.
	MayHave(partition int32, walletID uuid.UUID) bool
	// RecordAt reads the record at a receipt.
	RecordAt(ctx context.Context, r wallet.Receipt) (wallet.Record, error)
}

// Ledger is what accepting asks of the ledger. Errors wrap a kind of wallet/errors.go;
// that a wallet does not exist is a *wallet.Error.
type Ledger interface {
	// Create makes a wallet, or returns the one that is there.
	Create(ctx context.Context, id uuid.UUID, at time.Time) (w wallet.Wallet, created bool, err error)
	Wallet(ctx context.Context, id uuid.UUID) (wallet.Wallet, error)
	// Operation returns an operation, PENDING while it is requeued; nil if the ledger does not
	// have it, and then the offset that it has reached of the partition.
	Operation(ctx context.Context, key wallet.Key, partition int32) (op *wallet.Operation, next int64, err error)
	Operations(ctx context.Context, walletID uuid.UUID, q wallet.Query) (wallet.Page, error)
	// Outcomes returns those of the operations that the ledger has. Requests that ask for
	// one each share the cost.
	Outcomes(ctx context.Context, keys []wallet.Key) ([]wallet.Operation, error)
	// Offsets returns the offset of each partition.
	Offsets(ctx context.Context) (next map[int32]int64, err error)
	// FullLists returns the wallets whose requeued lists have length entries.
	FullLists(ctx context.Context, length int) ([]uuid.UUID, error)
	Err() error            // nil while the ledger answers
	Down() <-chan struct{} // closed when it stops answering
}

// Balances is the cache of balances. What it cannot put it remembers for repair.
type Balances interface {
	Known(ctx context.Context, id uuid.UUID) bool                      // it has the wallet, be it only that it exists
	Cached(ctx context.Context, id uuid.UUID) (wallet.Wallet, bool)    // it has the balance, and that is the newest it was told
	Put(ctx context.Context, wallets ...wallet.Wallet) error           // as they are now
	PutMaybeStale(ctx context.Context, wallets ...wallet.Wallet) error // as they have been: instead of older ones only
	PutMade(ctx context.Context, wallets ...wallet.Wallet) error       // made without a key, and not in the ledger yet
	Listening() bool                                                   // announcements of other replicas arrive
}

// Applier applies what is accepted.
type Applier interface {
	KnowsWallet(id uuid.UUID) bool // that it exists
	NoteExists(id uuid.UUID)
	NoteState(w wallet.Wallet) // as the ledger had it a moment ago
	AppliesWallet(id uuid.UUID) bool
	Owns(partition int32) bool
	// Direct applies operations of one wallet straight to the ledger, and returns them with
	// their outcomes, in order. A *wallet.Error: nothing was applied; any other: nobody knows.
	Direct(ctx context.Context, ops ...wallet.Operation) ([]wallet.Operation, error)
	// Accepted returns an operation that this replica has accepted, and whose outcome is not
	// known yet.
	Accepted(key wallet.Key) (wallet.Operation, bool)
	// Reconcile takes the ledger's offsets, settles own operations that the ledger has by
	// now, and has those that the journal lost applied. One call is bounded; it returns how
	// many got their outcome.
	Reconcile(ctx context.Context, offsets map[int32]int64) (settled int, err error)
	Backlog
}

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
	timer := time.NewTimer(waitGrace)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
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

// learnWallet notes what is known of the wallet, and returns CodeWalletNotFound if there is
// none. Only the ledger can say so: while it cannot be asked the wallet's operations are let
// in, and are FAILED later if they must be. A replica that applies the wallet asks the ledger
// before the cache, for its next batch needs the balance anyway.
func (in *Intake) learnWallet(ctx context.Context, id uuid.UUID) error {
	if in.Applier.KnowsWallet(id) {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // a client that leaves must not look like a failing component
	applies := in.Applier.AppliesWallet(id)
	if !applies && in.noteIfCached(ctx, id) {
		return nil
	}
	w, err := in.Ledger.Wallet(ctx, id)
	if err == nil {
		in.Applier.NoteState(w)
		return nil
	}
	// Its creation may be journaled, and not be applied yet.
	if applies && in.noteIfCached(ctx, id) {
		return nil
	}
	if wallet.IsWalletNotFound(err) {
		return err
	}
	return nil
}

// noteIfCached notes that the wallet exists if the cache knows it, and reports whether it does.
func (in *Intake) noteIfCached(ctx context.Context, id uuid.UUID) bool {
	known := in.Balances.Known(ctx, id)
	if known {
		in.Applier.NoteExists(id)
	}
	return known
}

// direct applies operations that the journal does not have, or may not have, under
// the same ids, and completes those who wait for them.
func (in *Intake) direct(ctx context.Context, ops []wallet.Operation, journalErr error) error {
	if err := in.ledgerTakes(journalErr); err != nil {
		return err
	}
	// The client going away does not take the operations back.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), in.Limits.DirectTimeout)
	defer cancel()
	// Another replica's creation may be in the journal, and who knew of it may have forgotten
	// it by now: the direct way would refuse the operation for good.
	_ = in.learnWallet(ctx, ops[0].WalletID)
	done, err := in.Applier.Direct(ctx, ops...)
	var known *wallet.Error
	switch {
	// Kafka alone is down, and the request is in no journal: it is the load that is too much.
	case errors.As(err, &known) && known.Code == wallet.CodeOverloaded && fateOf(journalErr) == wallet.NotApplied && in.Ledger.Err() == nil:
		return overloaded(known.Detail, retrySoon)
	case errors.As(err, &known):
		return unavailable(fateOf(journalErr), err)
	case err != nil:
		return unavailable(wallet.Unknown, err)
	}
	in.Complete(done)
	return nil
}

// ledgerTakes returns nil if the ledger can take what the journal did not, else the error
// of a request that neither takes.
func (in *Intake) ledgerTakes(journalErr error) error {
	if err := in.Ledger.Err(); err != nil {
		return unavailable(fateOf(journalErr), errors.Join(journalErr, err))
	}
	return nil
}

// fateOf is what is known of a request that only the journal was tried with.
func fateOf(journalErr error) wallet.Fate {
	if errors.Is(journalErr, wallet.ErrNotJournaled) {
		return wallet.NotApplied
	}
	return wallet.Unknown
}

func unavailable(fate wallet.Fate, err error) error {
	return &wallet.Error{Code: wallet.CodeUnavailable, Fate: fate, RetryAfter: retrySoon, Err: err,
		Detail: "neither the journal nor the ledger can take the request now"}
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
