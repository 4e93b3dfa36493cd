package accept

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Create makes a wallet, or returns the one that an earlier request with the same
// key has made, as it is now. Its creation is journaled, and waited for like an
// operation's outcome; whatever ends the wait, the wallet can be used at once.
// While the journal cannot be written the ledger makes it, and the record follows.
func (in *Intake) Create(ctx context.Context, key string, wait time.Duration) (wallet.Created, error) {
	ctx = context.WithoutCancel(ctx) // a client that leaves revokes nothing, and must not look like a failing ledger
	leave, mayWait, err := in.gates.enterCreation()
	if err != nil {
		return wallet.Created{}, err
	}
	defer leave()
	if !mayWait {
		wait = 0
	}
	op := wallet.Operation{ID: wallet.NewWalletID(key), AcceptedAt: in.tick(), Receipt: wallet.NoReceipt}
	op.WalletID = op.ID
	if key != "" {
		if w, ok := in.existing(ctx, op.ID); ok {
			return wallet.Created{Wallet: w, Replayed: true}, nil
		}
	}
	w := in.waiters.add(op)
	defer in.waiters.remove(w)
	in.Journal.Write(w.journaled, op)
	if err := in.await(w, wait); err != nil {
		made, err := in.createDirectly(ctx, op, err)
		if err == nil || w.open.Load() > 0 { // else what was not acknowledged is applied by now
			return made, err
		}
	}
	in.waiters.remove(w)
	if !w.awaited[0].known {
		return in.answerPending(ctx, op, key), nil
	}
	made := w.outcomes[0].Operation.After()
	put := in.Balances.Put
	if key != "" { // another request may have made it, and it may have moved since: its balance is the ledger's to say
		put = in.Balances.PutMaybeStale
	}
	_ = in.publish(ctx, made, put)
	return wallet.Created{Wallet: made, Replayed: w.outcomes[0].Replayed}, nil
}

// existing returns the wallet if it is known to be there, and spreads that: by the ledger, or
// by the cache if that cannot be asked.
func (in *Intake) existing(ctx context.Context, id uuid.UUID) (wallet.Wallet, bool) {
	w, err := in.Ledger.Wallet(ctx, id)
	switch {
	case err == nil:
		_ = in.publish(ctx, w, in.Balances.Put)
		return w, true
	case wallet.IsWalletNotFound(err):
		return w, false
	}
	w, ok := in.Balances.Cached(ctx, id)
	if ok {
		in.Applier.NoteExists(id)
	}
	return w, ok
}

// answerPending answers for a wallet whose creation is journaled and not known to be
// applied. Other replicas learn of it from the cache; while that takes nothing the ledger
// makes the wallet at once, and the record is a repeat.
func (in *Intake) answerPending(ctx context.Context, op wallet.Operation, key string) wallet.Created {
	w := wallet.Wallet{ID: op.ID, UpdatedAt: op.AcceptedAt}
	put := in.Balances.PutMade
	if key != "" { // another request may have made it, and it may have moved since
		put = in.Balances.PutMaybeStale
	}
	if err := in.publish(ctx, w, put); err != nil && in.Ledger.Err() == nil {
		if made, err := in.createDirectly(ctx, op, nil); err == nil {
			return made
		}
	}
	return wallet.Created{Wallet: w, Pending: true}
}

// createDirectly makes a wallet whose creation the journal does not have, or may
// not have, in the ledger, which notes that the record is to follow.
func (in *Intake) createDirectly(ctx context.Context, op wallet.Operation, journalErr error) (wallet.Created, error) {
	if err := in.ledgerTakes(journalErr); err != nil {
		return wallet.Created{}, err
	}
	w, created, err := in.Ledger.Create(ctx, op.ID, op.AcceptedAt)
	if err != nil {
		return wallet.Created{}, unavailable(wallet.Unknown, errors.Join(journalErr, err))
	}
	_ = in.publish(ctx, w, in.Balances.Put)
	return wallet.Created{Wallet: w, Replayed: !created}, nil
}

// publish spreads that a wallet exists, and by put what it holds: without that, other
// replicas could not tell while the ledger is away. The cache remembers what it could not
// put.
func (in *Intake) publish(ctx context.Context, w wallet.Wallet, put func(context.Context, ...wallet.Wallet) error) error {
	in.Applier.NoteExists(w.ID)
	return put(ctx, w)
}
