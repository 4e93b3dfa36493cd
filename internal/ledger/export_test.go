package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walletd/walletd/internal/wallet"
)

// BatchStatements are what a batch sends.
var BatchStatements = map[string]string{
	"move the offset":    moveOffsets,
	"insert wallets":     insertWallets,
	"change wallets":     changeWallets,
	"insert operations":  insertOperations,
	"insert unjournaled": insertUnjournaled,
	"take requeued":      takeRequeued,
	"append requeued":    appendRequeued,
	"put a list":         putList,
	"drop a list":        dropList,
	"read a snapshot":    selectSnapshot,
}

// ReadStatements are what reads send, but for the one that lists the unjournaled
// operations: it may read all of these.
var ReadStatements = map[string]string{
	"history":   selectHistory,
	"waiting":   selectWaiting,
	"operation": selectOperation,
	"due":       selectDue,
	"partition": selectPartition,
	"journaled": deleteUnjournaled,
	"wallets":   selectWalletsByKey,
	"backfills": selectBackfills,
	"lost":      selectLost,
}

// Commits and Reads are the pools, with the settings that plans depend on.
func (l *Ledger) Commits() *pgxpool.Pool { return l.commits.pool }
func (l *Ledger) Reads() *pgxpool.Pool   { return l.reads.pool }

// Topic is the topic that the ledger follows.
func (l *Ledger) Topic(ctx context.Context) (wallet.Topic, error) {
	t, _, err := l.Followed(ctx)
	return t, err
}

// Joining is how many batches wait to share a transaction.
func (l *Ledger) Joining() int {
	l.joint.mu.Lock()
	defer l.joint.mu.Unlock()
	return len(l.joint.waiting)
}

// AloneOperations make a batch go alone.
const AloneOperations = aloneOperations

// Begun is how many joint transactions have begun.
func (l *Ledger) Begun() int {
	l.joint.mu.Lock()
	defer l.joint.mu.Unlock()
	return l.joint.begun
}

// Overdue ends the wait of the transaction that so many had begun before.
func (l *Ledger) Overdue(before int) { l.joint.stopExpecting(before) }

// JoinWithin sets how long a batch waits for the transaction under way.
func (l *Ledger) JoinWithin(d time.Duration) { l.joint.overtakeAfter.Store(int64(d)) }

// ExpectWithin sets how long a batch waits for those that are on their way.
func (l *Ledger) ExpectWithin(d time.Duration) { l.joint.expectFor.Store(int64(d)) }

// Asking is how many requests wait to be looked up.
func (l *Ledger) Asking() int {
	l.wallets.mu.Lock()
	defer l.wallets.mu.Unlock()
	return len(l.wallets.waiting)
}

// AskingOperations is how many requests wait to learn whether an operation is there.
func (l *Ledger) AskingOperations() int {
	l.operations.mu.Lock()
	defer l.operations.mu.Unlock()
	return len(l.operations.waiting)
}

// Classify says how to go on after an error of a call.
var Classify = classify
