package accept

import (
	"context"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

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
