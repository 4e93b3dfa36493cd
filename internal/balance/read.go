package balance

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// visibleSoon is how long a reader is told to wait for a sequence that is on its way.
const visibleSoon = time.Second

// Wallet returns a wallet that has at least minSequence: from Redis if that has
// it, else from the ledger; with fresh always from the ledger. If the ledger has
// less the error is CodeNotYetVisible, if it cannot be asked ErrUnavailable. A wallet
// whose creation was accepted and is not applied yet is there, and empty.
func (c *Cache) Wallet(ctx context.Context, id uuid.UUID, fresh bool, minSequence int64) (wallet.Wallet, error) {
	if !fresh {
		if w, ok := c.Cached(ctx, id); ok && w.Sequence >= minSequence {
			return w, nil
		}
	}
	w, err := c.fill(ctx, id)
	if wallet.IsWalletNotFound(err) {
		if made, ok := c.creating(ctx, id); ok {
			w, err = made, nil
		}
	}
	if err == nil && w.Sequence < minSequence {
		return w, &wallet.Error{Code: wallet.CodeNotYetVisible, RetryAfter: visibleSoon,
			Detail: fmt.Sprintf("the wallet is at sequence %d, %d was asked for", w.Sequence, minSequence)}
	}
	return w, err
}

// fill reads the ledger and puts what it found.
func (c *Cache) fill(ctx context.Context, id uuid.UUID) (wallet.Wallet, error) {
	w, err := c.Ledger.Wallet(ctx, id)
	if err != nil {
		return w, err
	}
	_ = c.Put(ctx, w) // failed: the breaker has noted it, and the wallet is dirty
	return w, nil
}

// creating returns a wallet that the ledger does not have, if that is because its
// creation waits in the journal: nothing can have happened to it.
func (c *Cache) creating(ctx context.Context, id uuid.UUID) (wallet.Wallet, bool) {
	w, found, err := c.get(ctx, id)
	if err != nil || !found {
		w, found = c.dirty.get(id)
	}
	pending := found && (w.Sequence == 0 || w.Sequence == existing)
	w.State = wallet.State{}
	return w, pending
}

// Cached returns what Redis has of a wallet's balance, unless that may be old.
func (c *Cache) Cached(ctx context.Context, id uuid.UUID) (wallet.Wallet, bool) {
	if c.dirty.has(id, c.Now()) {
		return wallet.Wallet{}, false
	}
	w, found, err := c.get(ctx, id)
	return w, err == nil && found && !onlyExists(w)
}

// existing is the sequence under which Redis keeps that a wallet exists while nobody
// can say what it holds: -1, or -(n+1) once the ledger was seen to be at sequence n.
const existing = -1

// onlyExists reports whether nothing more is kept of the wallet.
func onlyExists(w wallet.Wallet) bool { return w.Sequence <= existing }

// Known reports whether Redis knows that the wallet exists. false means only that
// Redis does not tell.
func (c *Cache) Known(ctx context.Context, id uuid.UUID) bool {
	_, found, err := c.get(ctx, id)
	return err == nil && found
}
