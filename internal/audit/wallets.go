package audit

import (
	"context"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// deadLetters checks that every undecodable record that was passed is kept.
func (a *Audit) deadLetters(ctx context.Context) error {
	if len(a.poison) == 0 {
		return nil
	}
	letters, err := a.Journal.BuriedPlaces(ctx)
	if err != nil {
		return err
	}
	for _, r := range a.poison {
		if !letters[r] {
			a.find(Finding{Kind: LetterMissing, Partition: &r.Partition, Offset: &r.Offset}, "this record does not decode, was passed, and is not among the dead letters")
		}
	}
	return nil
}

// wallets looks at every wallet of the ledger: its row has to be what its
// operations come to, those included that the replay has not met.
func (a *Audit) wallets(ctx context.Context) error {
	after := uuid.Nil
	for more := true; more; {
		rows, err := a.pageOfWallets(ctx, after)
		if err != nil {
			return err
		}
		if err := a.settle(ctx, rows); err != nil {
			return err
		}
		if more = len(rows) == pageWallets; more {
			after = rows[len(rows)-1].ID
		}
	}
	for id, acc := range a.accounts {
		if !acc.there && acc.sequence > 0 {
			a.find(walletFinding(WalletMissing, id), "it has %d operations", acc.sequence)
		}
	}
	return nil
}

func (a *Audit) pageOfWallets(ctx context.Context, after uuid.UUID) ([]wallet.Wallet, error) {
	if a.Wallet != uuid.Nil {
		rows, _, err := a.since(ctx, []wallet.Wallet{{ID: a.Wallet}}, 0)
		return rows, err
	}
	return again(ctx, func() ([]wallet.Wallet, error) { return a.Ledger.Wallets(ctx, after, pageWallets) })
}

// settle brings the accounts of the wallets up to their rows.
func (a *Audit) settle(ctx context.Context, rows []wallet.Wallet) error {
	var moved []wallet.Wallet
	for _, w := range rows {
		acc := a.accounts[w.ID]
		acc.there = true
		a.accounts[w.ID] = acc
		if !acc.created {
			a.owed[wallet.Key{WalletID: w.ID, ID: w.ID}] = owed{direct: true, receipt: wallet.NoReceipt}
		}
		a.report.Wallets++
		if w.Sequence == acc.sequence {
			a.compareWallet(w, acc)
		} else {
			moved = append(moved, wallet.Wallet{ID: w.ID, State: wallet.State{Sequence: acc.sequence}})
		}
	}
	for len(moved) > 0 {
		var err error
		if moved, err = a.catchUp(ctx, moved); err != nil {
			return err
		}
	}
	return nil
}

// catchUpOperations bounds what one look brings of each wallet.
const catchUpOperations = 100

// catchUp takes operations of the wallets that were not met, as of one moment with
// their rows, and returns the wallets of which there are more.
func (a *Audit) catchUp(ctx context.Context, moved []wallet.Wallet) (more []wallet.Wallet, err error) {
	rows, ops, err := a.since(ctx, moved, catchUpOperations)
	if err != nil {
		return nil, err
	}
	count := map[uuid.UUID]int{}
	for i := range ops {
		op := &ops[i]
		acc := a.accounts[op.WalletID]
		a.advance(&acc, op)
		a.accounts[op.WalletID] = acc
		a.unmet(op, false)
		count[op.WalletID]++
	}
	for _, w := range rows {
		acc := a.accounts[w.ID]
		if count[w.ID] == catchUpOperations {
			more = append(more, wallet.Wallet{ID: w.ID, State: wallet.State{Sequence: acc.sequence}})
			continue
		}
		a.compareWallet(w, acc)
	}
	return more, nil
}

func (a *Audit) since(ctx context.Context, from []wallet.Wallet, limit int) (rows []wallet.Wallet, ops []wallet.Operation, err error) {
	rows, err = again(ctx, func() (rows []wallet.Wallet, err error) {
		rows, ops, err = a.Ledger.Since(ctx, from, limit)
		return rows, err
	})
	return rows, ops, err
}

func (a *Audit) compareWallet(w wallet.Wallet, acc account) {
	if w.Sequence != acc.sequence || int64(w.Balance) != acc.balance {
		f := walletFinding(WalletDiffers, w.ID)
		f.Sequence = &w.Sequence
		a.find(f, "its row has version %d and balance %d; its operations come to sequence %d and balance %d", w.Sequence, w.Balance, acc.sequence, acc.balance)
	}
}

// strays looks at the operations that no wallet leads to.
func (a *Audit) strays(ctx context.Context) error {
	after, limit := a.walk()
	for {
		var ops []wallet.Operation
		next, err := again(ctx, func() (next uuid.UUID, err error) {
			ops, next, err = a.Ledger.Strays(ctx, after, limit)
			return next, err
		})
		if err != nil {
			return err
		}
		for i := range ops {
			op := &ops[i]
			met := a.refused[op.Key()] || op.Sequence > 0 && op.Sequence <= a.accounts[op.WalletID].sequence
			if !met && !a.outside(op.WalletID) {
				a.unmet(op, false)
			}
		}
		if after = next; after == uuid.Nil || a.Wallet != uuid.Nil {
			return nil
		}
	}
}

// before returns the id that precedes id.
func before(id uuid.UUID) uuid.UUID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]--; id[i] != 0xff {
			break
		}
	}
	return id
}
