package applier

import (
	"context"
	"math/rand/v2"
	"time"
)

// Limits are the bounds of applying, and what happens beyond them.
type Limits struct {
	BatchOperations    int // of one batch; what is beyond waits for the next
	QueueOperations    int // taken and waiting, for each partition; beyond it fetching pauses
	Lanes              int // in memory; beyond it idle lanes are retired
	UnsettledPerWallet int // own acknowledged operations of unknown outcome that are remembered; beyond it the direct way answers 503
	Unsettled          int // the same of all wallets together

	Conflicts      int // of one wallet in one batch; then the wallet is set aside
	Retries        int // of one batch for serialization failures; then it pauses, as for a ledger that is away
	DirectCommits  int // direct batches under way at a time, beside HeldCommits; the other wallets' wait
	DirectTries    int // of one direct batch, for conflicts; then the lane is let go before the next ones
	ListPerCopy    int // entries that one copy applies; the rest is due at once
	Attempts       int // refusals of one list in a row; from here on it alarms
	CopiesPerRound int // lists that get a copy in one round; the others wait for the next
	Backfills      int // direct operations that get their backfill record in one round; the others wait for the next

	KeeperInterval  time.Duration // between looks for due lists and missing backfills
	MinRequeueDelay time.Duration // before a list's first copy
	MaxRequeueDelay time.Duration // between copies at most
	MaxYield        time.Duration // between direct batches of one wallet at most: other replicas get their turn
	MinPause        time.Duration // between tries while the ledger is away
	MaxPause        time.Duration
}

// HeldCommits are the direct batches under way at a time of wallets whose row was held by
// somebody when they were last tried.
const HeldCommits = 2

// DefaultLimits returns the bounds without regard to what accepting lets in: walletd
// raises the two of unsettled operations to its own.
func DefaultLimits() Limits {
	return Limits{
		BatchOperations: 2_000, QueueOperations: 20_000, Lanes: 200_000, Unsettled: 500_000, UnsettledPerWallet: 10_000,
		Conflicts: 5, Retries: 10, DirectCommits: 10, DirectTries: 50, ListPerCopy: 1_000, Attempts: 10,
		CopiesPerRound: 100, Backfills: 500,
		KeeperInterval: 250 * time.Millisecond, MinRequeueDelay: 500 * time.Millisecond, MaxRequeueDelay: 30 * time.Second,
		MaxYield: 100 * time.Millisecond,
		MinPause: 50 * time.Millisecond, MaxPause: 500 * time.Millisecond,
	}
}

// backoff is how long a list waits before its next copy.
func (l Limits) backoff(refusals int) time.Duration {
	d := l.MinRequeueDelay
	for range refusals {
		if d *= 2; d >= l.MaxRequeueDelay {
			return l.MaxRequeueDelay
		}
	}
	return d
}

// yieldFactor is how much longer than a commit the pause after it may be: enough for
// another replica's read and commit, also when those take it longer.
const yieldFactor = 8

// yieldPause is how long the direct way leaves a wallet to others after a batch. It is
// random, so that replicas that conflict do not go on in step.
func (l Limits) yieldPause(took time.Duration) time.Duration {
	return rand.N(min(yieldFactor*max(took, 0), l.MaxYield) + 1) //nolint:gosec // not a secret
}

// pause is a growing wait between tries.
type pause struct{ next, most time.Duration }

func newPause(l Limits) *pause { return &pause{next: l.MinPause, most: l.MaxPause} }

// wait waits; it returns early, with the context's error, when ctx ends.
func (p *pause) wait(ctx context.Context) error {
	t := time.NewTimer(p.next)
	defer t.Stop()
	p.next = min(2*p.next, p.most)
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
