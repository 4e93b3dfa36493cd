package accept

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Operation returns one operation. With its receipt it is found from the moment it
// was accepted, on every replica: PENDING until the ledger has passed the receipt.
// Errors are *wallet.Error.
func (in *Intake) Operation(ctx context.Context, walletID, id uuid.UUID, r wallet.Receipt) (wallet.Operation, error) {
	op, found, next, err := in.Ledger.Operation(ctx, walletID, id, r)
	switch {
	case err != nil:
		return op, &wallet.Error{Code: wallet.CodeUnavailable, RetryAfter: retrySoon, Err: err, Detail: "the ledger cannot be read now"}
	case found:
		return op, nil
	case !r.Known() || r.Offset < next:
		return op, &wallet.Error{Code: wallet.CodeOperationNotFound, Detail: "the wallet has no operation " + id.String()}
	}
	return in.pending(ctx, walletID, id, r)
}

// pending looks an operation up in the journal. If that cannot be asked, the
// receipt is believed.
func (in *Intake) pending(ctx context.Context, walletID, id uuid.UUID, r wallet.Receipt) (wallet.Operation, error) {
	op := wallet.Operation{ID: id, WalletID: walletID, Receipt: r}
	if end, err := in.Journal.End(ctx, r.Partition); err == nil && r.Offset >= end {
		return op, badReceipt("is beyond the journal's end")
	}
	rec, err := in.Journal.Find(ctx, r)
	if err != nil {
		in.Log.Debug("record of a receipt not read", "partition", r.Partition, "offset", r.Offset, "error", err)
		return op, nil //nolint:nilerr // what the receipt says is enough
	}
	for _, o := range rec.Operations {
		if o.ID == id && rec.WalletID == walletID && rec.Kind == wallet.KindOperations {
			o.WalletID, o.Receipt = walletID, r
			return o, nil
		}
	}
	return op, badReceipt("is not of this operation")
}

func badReceipt(why string) error {
	return &wallet.Error{Code: wallet.CodeInvalidRequest, Detail: "the receipt " + why,
		Fields: []wallet.FieldError{{Field: "journal", Detail: why}}}
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
