package simtest

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/wallet"
)

// Fault is a way in which a call to the ledger ends.
type Fault int

// The faults. A refusal is returned without asking the ledger.
const (
	None          Fault = iota
	Fenced              // the offset moved
	Conflict            // a version or key is not as computed
	Serialization       // to be retried at once
	Locked              // a row is held
	Refused             // SQL refuses it
	CutOff              // unavailable: nothing was written, which the caller cannot know
	LostAnswer          // unavailable: it was written, which the caller cannot know
)

// Call is a call to the ledger.
type Call struct {
	Method string
	Batch  *wallet.Batch // of Commit only
}

// Faulty is a ledger whose calls end as Next says; Next may also wait, or do
// something else first.
type Faulty struct {
	applier.Ledger
	Next func(c Call) Fault
}

var refusals = map[Fault]error{Fenced: wallet.ErrFenced, Conflict: wallet.ErrConflict, Serialization: wallet.ErrSerialization,
	Locked: wallet.ErrLocked, Refused: wallet.ErrRefused, CutOff: wallet.ErrUnavailable}

func (f *Faulty) before(c Call) (Fault, error) {
	fault := f.Next(c)
	if err := refusals[fault]; err != nil {
		return fault, fmt.Errorf("%w: injected", err)
	}
	return fault, nil
}

// Commit implements applier.Ledger.
func (f *Faulty) Commit(ctx context.Context, b *wallet.Batch) error {
	fault, err := f.before(Call{"Commit", b})
	if err != nil {
		return err
	}
	if err := f.Ledger.Commit(ctx, b); err != nil || fault != LostAnswer {
		return err
	}
	return fmt.Errorf("%w: injected after the commit", wallet.ErrUnavailable)
}

// Partition implements applier.Ledger.
func (f *Faulty) Partition(ctx context.Context, topic uuid.UUID, partition int32) (wallet.Progress, error) {
	if _, err := f.before(Call{Method: "Partition"}); err != nil {
		return wallet.Progress{}, err
	}
	return f.Ledger.Partition(ctx, topic, partition)
}

// Read implements applier.Ledger.
func (f *Faulty) Read(ctx context.Context, q wallet.SnapshotQuery) (wallet.Snapshot, error) {
	if _, err := f.before(Call{Method: "Read"}); err != nil {
		return wallet.Snapshot{}, err
	}
	return f.Ledger.Read(ctx, q)
}

// Locked implements applier.Ledger.
func (f *Faulty) Locked(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	if _, err := f.before(Call{Method: "Locked"}); err != nil {
		return nil, err
	}
	return f.Ledger.Locked(ctx, ids)
}

// Due implements applier.Ledger.
func (f *Faulty) Due(ctx context.Context, partition int32, at time.Time, most time.Duration, limit int) ([]wallet.ListHead, error) {
	if _, err := f.before(Call{Method: "Due"}); err != nil {
		return nil, err
	}
	return f.Ledger.Due(ctx, partition, at, most, limit)
}

// Unjournaled implements applier.Ledger.
func (f *Faulty) Unjournaled(ctx context.Context, beyond uuid.UUID, limit int) ([]wallet.Key, error) {
	if _, err := f.before(Call{Method: "Unjournaled"}); err != nil {
		return nil, err
	}
	return f.Ledger.Unjournaled(ctx, beyond, limit)
}

// Backfills implements applier.Ledger.
func (f *Faulty) Backfills(ctx context.Context, keys []wallet.Key) ([]wallet.Operation, error) {
	if _, err := f.before(Call{Method: "Backfills"}); err != nil {
		return nil, err
	}
	return f.Ledger.Backfills(ctx, keys)
}

// Journaled implements applier.Ledger.
func (f *Faulty) Journaled(ctx context.Context, keys []wallet.Key) error {
	if _, err := f.before(Call{Method: "Journaled"}); err != nil {
		return err
	}
	return f.Ledger.Journaled(ctx, keys)
}

// Lost implements applier.Ledger.
func (f *Faulty) Lost(ctx context.Context, placed []wallet.Placed) ([]wallet.Key, error) {
	if _, err := f.before(Call{Method: "Lost"}); err != nil {
		return nil, err
	}
	return f.Ledger.Lost(ctx, placed)
}
