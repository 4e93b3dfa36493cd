package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Intake accepts writes. Its errors are *wallet.Error; of any other error the
// client learns only that the outcome is unknown.
type Intake interface {
	// Create makes the wallet that key names, or a new one if key is empty, and waits
	// at most wait for the ledger to have it; for the journal's answer in any case.
	Create(ctx context.Context, key string, wait time.Duration) (wallet.Created, error)
	// Submit accepts op, of which ID, WalletID, Type and Amount are set, and waits
	// at most wait for its outcome; for the journal's answer in any case.
	Submit(ctx context.Context, op wallet.Operation, wait time.Duration) (wallet.Outcome, error)
	// SubmitAll accepts operations of one wallet, as Submit does, at most
	// wallet.MaxRecordOperations, and returns the outcome of each in order; the operations
	// are the Intake's from then on.
	SubmitAll(ctx context.Context, ops []wallet.Operation, wait time.Duration) ([]wallet.Outcome, error)
}

// Balances reads wallets. Its errors, and those of History, are *wallet.Error or the
// ledger's (wallet/errors.go).
type Balances interface {
	// Wallet returns the wallet. One that has not reached minSequence is CodeNotYetVisible.
	Wallet(ctx context.Context, id uuid.UUID, minSequence int64) (wallet.Wallet, error)
	// Fresh is Wallet past any cache.
	Fresh(ctx context.Context, id uuid.UUID, minSequence int64) (wallet.Wallet, error)
}

// History reads operations.
type History interface {
	// Operations returns the part of the wallet's list that q selects.
	Operations(ctx context.Context, walletID uuid.UUID, q wallet.Query) (wallet.Page, error)
	// Operation returns one operation; r is its receipt, or NoReceipt.
	Operation(ctx context.Context, walletID, id uuid.UUID, r wallet.Receipt) (wallet.Operation, error)
}

// Health tells how the components are.
type Health interface {
	// Components returns the state of each component.
	Components() []Component
	// Ready reports whether writes can be accepted.
	Ready() bool
}

// Component is the state of one thing that walletd stands on.
type Component struct {
	Name   string // postgres, kafka, redis
	Up     bool
	Detail string // why it is not up, for an operator; no secrets
}
