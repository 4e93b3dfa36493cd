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
// it, else as Fresh does.
func (c *Cache) Wallet(ctx context.Context, id uuid.UUID, minSequence int64) (wallet.Wallet, error) {
	if w, ok := c.Cached(ctx, id); ok && w.Sequence >= minSequence {
		return w, nil
	}
	return c.Fresh(ctx, id, minSequence)
}

// Fresh returns a wallet as the ledger has it. If that is less than minSequence the error
// is CodeNotYetVisible, if the ledger cannot be asked ErrUnavailable. A wallet whose
// creation was accepted and is not applied yet is there, and empty.
func (c *Cache) Fresh(ctx context.Context, id uuid.UUID, minSequence int64) (wallet.Wallet, error) {
	w, err := c.fill(ctx, id)
	if wallet.IsWalletNotFound(err) {
		w, err = c.notFound(ctx, id, err)
	}
	if err == nil && w.Sequence < minSequence {
		return w, &wallet.Error{Code: wallet.CodeNotYetVisible, RetryAfter: visibleSoon,
			Detail: fmt.Sprintf("the wallet is at sequence %d, %d was asked for", w.Sequence, minSequence)}
	}
	return w, err
}

// lateFill is longer than a read of the ledger takes, unless this process was stopped.
const lateFill = 5 * time.Second

// fill reads the ledger and puts what it found. Meanwhile another replica may commit, and put
// what is newer, and Redis lose it: then its mark is another, and what was read may be old.
func (c *Cache) fill(ctx context.Context, id uuid.UUID) (wallet.Wallet, error) {
	began, mark := c.config.Now(), c.mark.Load()
	w, err := c.config.Ledger.Wallet(ctx, id)
	if err != nil {
		return w, err
	}
	// Failed: the breaker has noted it, and the wallet is dirty.
	if mark == nil || c.config.Now().Sub(began) > lateFill { // a newer one may have been put meanwhile, and be gone again
		_ = c.PutMaybeStale(ctx, w)
	} else {
		_ = c.put(ctx, update{since: *mark, current: []wallet.Wallet{w}})
	}
	return w, nil
}

// notFound is what is answered of a wallet that the ledger does not have: that it is
// empty, if its creation waits in the journal, for then nothing can have happened to it.
// If more is known of it, it was applied since the ledger was read; or the ledger was
// restored to before it.
func (c *Cache) notFound(ctx context.Context, id uuid.UUID, err error) (wallet.Wallet, error) {
	w, found, getErr := c.get(ctx, id)
	if getErr != nil || !found {
		w, found = c.dirty.get(id)
	}
	switch {
	case !found:
		return w, err
	case w.Sequence == 0 || w.Sequence == existsNote:
		w.State = wallet.State{}
		return w, nil
	}
	return c.fill(ctx, id)
}

// Cached returns what Redis has of a wallet's balance, unless that may be old.
func (c *Cache) Cached(ctx context.Context, id uuid.UUID) (wallet.Wallet, bool) {
	if c.dirty.has(id, c.config.Now()) {
		return wallet.Wallet{}, false
	}
	w, found, err := c.get(ctx, id)
	if err != nil || !found {
		return w, false
	}
	if empty, ok := c.justMade(w); ok {
		return empty, true
	}
	return w, !onlyExists(w)
}

// Known reports whether Redis knows that the wallet exists. false means only that
// Redis does not tell.
func (c *Cache) Known(ctx context.Context, id uuid.UUID) bool {
	_, found, err := c.get(ctx, id)
	return err == nil && found
}
