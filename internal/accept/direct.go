package accept

import (
	"context"
	"errors"

	"github.com/walletd/walletd/internal/wallet"
)

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
