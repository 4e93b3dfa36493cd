// Package accept takes in what clients ask for: it decides whether a request may
// come in, journals it, or has it applied directly while the journal cannot be
// written, and waits for the outcome as long as the client wants.
package accept

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Journal is where accepted requests are kept.
type Journal interface {
	Write(op wallet.Operation) (wallet.Receipt, error)
	WriteCreate(id uuid.UUID, at time.Time) (wallet.Receipt, error)
	End(ctx context.Context, partition int32) (int64, error)
	Find(ctx context.Context, r wallet.Receipt) (wallet.Record, error)
}

// Ledger is what accepting asks of the ledger.
type Ledger interface {
	Create(ctx context.Context, id uuid.UUID, at time.Time) (wallet.Wallet, bool, error)
	Wallet(ctx context.Context, id uuid.UUID) (wallet.Wallet, error)
	Operation(ctx context.Context, walletID, id uuid.UUID, r wallet.Receipt) (wallet.Operation, bool, int64, error)
	Outcomes(ctx context.Context, keys []wallet.Key) ([]wallet.Operation, error)
	Offsets(ctx context.Context, listLength int) (map[int32]int64, []uuid.UUID, error)
	Err() error            // nil while the ledger answers
	Down() <-chan struct{} // closed when it stops to
}

// Balances is the cache of balances.
type Balances interface {
	Known(ctx context.Context, id uuid.UUID) bool
	Cached(ctx context.Context, id uuid.UUID) (wallet.Wallet, bool)
	Put(ctx context.Context, wallets ...wallet.Wallet) error
	Exists(ctx context.Context, id uuid.UUID)
	Listening() bool // announcements of other replicas arrive
}

// Applier applies what is accepted.
type Applier interface {
	Known(id uuid.UUID) bool
	Exists(id uuid.UUID)
	Owns(partition int32) bool
	Direct(ctx context.Context, op wallet.Operation) (wallet.Operation, error)
	Reconcile(ctx context.Context, offsets map[int32]int64) error
}

// Config is what an Intake is made of.
type Config struct {
	Journal  Journal
	Ledger   Ledger
	Balances Balances
	Applier  Applier
	Limits   Limits
	Log      *slog.Logger
	Now      func() time.Time
}

// Limits are the bounds of accepting.
type Limits struct {
	WalletRequests int           // unanswered at once of one wallet; beyond it 429
	Requests       int           // unanswered at once of this replica; beyond it 429
	DirectTimeout  time.Duration // of the direct way; beyond it 503, of unknown outcome
	ListLength     int           // of a wallet's requeued list; at it 429
}

// Intake accepts requests. Safe for concurrent use.
type Intake struct {
	Config
	gates   *gates
	waiters *waiters
	clock   atomic.Int64 // the last AcceptedAt, in microseconds
	closing chan struct{}
	once    sync.Once
}

// New returns an Intake. Run has to be running for waits to end on a replica that
// does not own the partition.
func New(cfg Config) *Intake {
	return &Intake{Config: cfg, gates: newGates(cfg.Limits, cfg.Now), waiters: newWaiters(cfg.Now), closing: make(chan struct{})}
}

// Close ends all waits: requests get what is known by now.
func (in *Intake) Close() { in.once.Do(func() { close(in.closing) }) }

// retrySoon is what a client is told to wait for components to come back.
const retrySoon = 2 * time.Second

// Submit takes in one operation, whose id, wallet, type and amount are set, and
// waits for its outcome: nil means accepted, and that the operation will be
// applied or refused exactly once, whatever happens. Errors are *wallet.Error.
func (in *Intake) Submit(ctx context.Context, op wallet.Operation, wait time.Duration) (wallet.Outcome, error) {
	leave, err := in.gates.enter(op.WalletID)
	if err != nil {
		return wallet.Outcome{}, err
	}
	defer leave()
	if err := in.exists(ctx, op.WalletID); err != nil {
		return wallet.Outcome{}, err
	}
	op.AcceptedAt, op.Receipt = in.tick(), wallet.NoReceipt
	w := in.waiters.add(op)
	defer in.waiters.remove(w)
	receipt, err := in.Journal.Write(op)
	if err != nil {
		return in.direct(ctx, op, err)
	}
	op.Receipt = receipt
	w.journaled(receipt)
	return in.await(ctx, w, op, wait)
}

// exists refuses an operation of a wallet that does not exist. What says so is
// the ledger only; if it cannot be asked the operation is let in, to fail later if
// it must.
func (in *Intake) exists(ctx context.Context, id uuid.UUID) error {
	if in.Applier.Known(id) {
		return nil
	}
	if in.Balances.Known(ctx, id) {
		in.Applier.Exists(id)
		return nil
	}
	_, err := in.Ledger.Wallet(ctx, id)
	var known *wallet.Error
	switch {
	case err == nil:
		in.Applier.Exists(id)
	case errors.As(err, &known):
		return err
	}
	return nil
}

// direct applies an operation that the journal does not have, or may not have,
// under the same id.
func (in *Intake) direct(ctx context.Context, op wallet.Operation, journalErr error) (wallet.Outcome, error) {
	fate := wallet.Unknown
	if errors.Is(journalErr, wallet.ErrNotJournaled) {
		fate = wallet.NotApplied
	}
	if err := in.Ledger.Err(); err != nil {
		return wallet.Outcome{}, unavailable(fate, errors.Join(journalErr, err))
	}
	// The client going away does not take the operation back.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), in.Limits.DirectTimeout)
	defer cancel()
	done, err := in.Applier.Direct(ctx, op)
	var known *wallet.Error
	switch {
	case errors.As(err, &known):
		return wallet.Outcome{}, unavailable(fate, err)
	case err != nil:
		return wallet.Outcome{}, unavailable(wallet.Unknown, err)
	}
	return resolve(op, done)
}

func unavailable(fate wallet.Fate, err error) error {
	return &wallet.Error{Code: wallet.CodeUnavailable, Fate: fate, RetryAfter: retrySoon, Err: err,
		Detail: "neither the journal nor the ledger can take the request now"}
}

// await waits for the outcome of a journaled operation. The journal has promised
// it: whatever ends the wait, the answer is that it is accepted.
func (in *Intake) await(ctx context.Context, w *waiter, op wallet.Operation, wait time.Duration) (wallet.Outcome, error) {
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case done := <-w.done:
			return resolve(op, done)
		case <-timer.C:
		case <-in.Ledger.Down():
		case <-in.closing:
		case <-ctx.Done():
		}
	}
	return wallet.Outcome{Operation: op}, nil
}

// resolve turns what the ledger has under the operation's id into the answer to
// this request. Two requests with one id are told apart by when they were accepted.
func resolve(op, done wallet.Operation) (wallet.Outcome, error) {
	if !done.SameRequest(op) {
		return wallet.Outcome{}, &wallet.Error{Code: wallet.CodeIdempotencyKeyReused, Operation: &done,
			Detail: "the idempotency key belongs to an operation of another type or amount; nothing was applied"}
	}
	return wallet.Outcome{Operation: done, Replayed: !done.AcceptedAt.Equal(op.AcceptedAt)}, nil
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
