package accept

import (
	"context"
	"errors"

	"github.com/walletd/walletd/internal/wallet"
)

// Create makes a wallet, or returns the one that an earlier request with the same
// key has made. While the ledger does not answer the creation is journaled; the
// wallet can be used at once.
func (in *Intake) Create(ctx context.Context, key string) (wallet.Created, error) {
	leave, err := in.gates.enterReplica(1)
	if err != nil {
		return wallet.Created{}, err
	}
	defer leave()
	id, at := wallet.NewID(key), in.tick()
	tried := in.Ledger.Err() == nil
	w, created, err := in.Ledger.Create(ctx, id, at)
	if err == nil {
		in.known(ctx, w)
		return wallet.Created{Wallet: w, Replayed: !created}, nil
	}
	if w, ok := in.Balances.Cached(ctx, id); ok {
		return wallet.Created{Wallet: w, Replayed: true}, nil
	}
	if _, jerr := in.Journal.WriteCreate(id, at); jerr != nil {
		fate := wallet.Unknown
		if !tried && errors.Is(jerr, wallet.ErrNotJournaled) {
			fate = wallet.NotApplied
		}
		return wallet.Created{}, unavailable(fate, errors.Join(err, jerr))
	}
	w = wallet.Wallet{ID: id, UpdatedAt: at}
	if key == "" {
		in.known(ctx, w)
	} else {
		// An earlier request may have made it: what it holds is the ledger's to say.
		in.Applier.Exists(id)
		in.Balances.Exists(context.WithoutCancel(ctx), id)
	}
	return wallet.Created{Wallet: w, Pending: true}, nil
}

// known spreads that a wallet exists: without that, other replicas could not tell
// while the ledger is away.
func (in *Intake) known(ctx context.Context, w wallet.Wallet) {
	in.Applier.Exists(w.ID)
	_ = in.Balances.Put(context.WithoutCancel(ctx), w) // the cache remembers what it could not put
}
