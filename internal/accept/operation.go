package accept

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Operation returns one operation. With its receipt it is found from the moment it
// was accepted, on every replica: PENDING until the ledger has passed the receipt.
// Errors are *wallet.Error, or the ledger's.
func (in *Intake) Operation(ctx context.Context, walletID, id uuid.UUID, r wallet.Receipt) (wallet.Operation, error) {
	key := wallet.Key{WalletID: walletID, ID: id}
	done, next, err := in.Ledger.Operation(ctx, key, r.Partition)
	switch {
	case err != nil:
		return wallet.Operation{}, err
	case done != nil:
		in.refreshBalance(ctx, done)
		return *done, nil
	}
	if op, ok := in.Applier.Accepted(key); ok {
		return op, nil // wherever its record is
	}
	if !r.Known() || r.Offset < next {
		return wallet.Operation{}, &wallet.Error{Code: wallet.CodeOperationNotFound, Detail: "the wallet has no operation " + id.String()}
	}
	return in.pending(ctx, walletID, id, r)
}

// Operations returns the part of a wallet's list that q selects, as the ledger has it.
// Errors are the ledger's.
func (in *Intake) Operations(ctx context.Context, walletID uuid.UUID, q wallet.Query) (wallet.Page, error) {
	page, err := in.Ledger.Operations(ctx, walletID, q)
	if wallet.IsWalletNotFound(err) && in.Balances.Known(ctx, walletID) {
		return wallet.Page{}, nil // its creation is not applied yet
	}
	if i := slices.IndexFunc(page.Operations, func(op wallet.Operation) bool { return op.Sequence > 0 }); i >= 0 {
		in.refreshBalance(ctx, &page.Operations[i]) // the newest
	}
	return page, err
}

// longCommit is more than a commit takes, and clocks of replicas differ.
const longCommit = time.Minute

// refreshBalance brings the cached balance up to an operation before its outcome is returned: the
// commit's announcement may be late or lost, and a client that sees the operation applied must
// find it in the balance. An operation older than BalanceTTL and the longest commit is skipped:
// every balance that was cached before it has expired.
func (in *Intake) refreshBalance(ctx context.Context, op *wallet.Operation) {
	if op.Sequence > 0 && in.Now().Sub(op.AppliedAt) < in.BalanceTTL+longCommit {
		_ = in.Balances.PutMaybeStale(ctx, op.After()) // what could not be put is remembered
	}
}

// pending looks an operation up in the journal: the ledger has not passed its
// receipt yet. While the journal cannot be asked the receipt is believed, and type
// and amount are not known.
func (in *Intake) pending(ctx context.Context, walletID, id uuid.UUID, r wallet.Receipt) (wallet.Operation, error) {
	if !in.Journal.MayHave(r.Partition, walletID) {
		return wallet.Operation{}, badReceipt("is not of this wallet")
	}
	there, err := in.Journal.Reaches(ctx, r)
	if err == nil && !there {
		return wallet.Operation{}, badReceipt("is beyond the journal's end")
	}
	var rec wallet.Record
	if err == nil {
		rec, err = in.Journal.RecordAt(ctx, r)
	}
	if err != nil {
		in.Log.Debug("record of a receipt not read", "partition", r.Partition, "offset", r.Offset, "error", err)
		return wallet.Operation{ID: id, WalletID: walletID, Receipt: r}, nil
	}
	for _, op := range rec.Operations {
		if op.ID == id && rec.WalletID == walletID && rec.Kind == wallet.KindOperations {
			op.Receipt = r
			return op, nil
		}
	}
	return wallet.Operation{}, badReceipt("is not of this operation")
}

func badReceipt(why string) error {
	return &wallet.Error{Code: wallet.CodeInvalidRequest, Detail: "the receipt " + why,
		Fields: []wallet.FieldError{{Field: "journal", Detail: why}}}
}
