package applier_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// damaged is a ledger that refuses to read or write one wallet's rows, as PostgreSQL does
// when their block is damaged, from the moment the damage is done.
type damaged struct {
	applier.Ledger
	id   uuid.UUID
	done *atomic.Bool
}

var errDamaged = fmt.Errorf("%w: invalid page in block 0 of relation base/5/16384 (SQLSTATE XX001)", wallet.ErrRefused)

func (l damaged) Read(ctx context.Context, q wallet.SnapshotQuery) (wallet.Snapshot, error) {
	if l.done.Load() && (slices.Contains(q.Wallets, l.id) || slices.ContainsFunc(q.Operations, func(k wallet.Key) bool { return k.WalletID == l.id })) {
		return wallet.Snapshot{}, errDamaged
	}
	return l.Ledger.Read(ctx, q)
}

func (l damaged) Locked(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	if l.done.Load() && slices.Contains(ids, l.id) {
		return nil, errDamaged
	}
	return l.Ledger.Locked(ctx, ids)
}

func (l damaged) Commit(ctx context.Context, b *wallet.Batch) error {
	if l.done.Load() && slices.ContainsFunc(b.Changes, func(c wallet.Change) bool { return c.ID == l.id }) {
		return errDamaged
	}
	return l.Ledger.Commit(ctx, b)
}

func (l damaged) Backfills(ctx context.Context, keys []wallet.Key) ([]wallet.Operation, error) {
	if l.done.Load() && slices.ContainsFunc(keys, func(k wallet.Key) bool { return k.WalletID == l.id }) {
		return nil, errDamaged
	}
	return l.Ledger.Backfills(ctx, keys)
}

func damage(id uuid.UUID, done *atomic.Bool) func(*replica, *applier.Config) {
	return func(_ *replica, c *applier.Config) { c.Ledger = damaged{c.Ledger, id, done} }
}

func TestAWalletThatCannotBeReadIsSetAsideAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 1)
	bad, good := w.created(), w.created()
	w.append(deposit(bad, 1))
	w.append(deposit(good, 1))
	var done atomic.Bool
	done.Store(true)
	w.owning(damage(bad, &done))
	w.await("the others' operations, and a list of the wallet that is damaged", func(b simtest.Books) bool {
		return b.Wallets[good].Sequence == 1 && len(b.Entries[bad]) == 1
	})
	done.Store(false)
	w.await("the list is applied once the row can be read", func(b simtest.Books) bool {
		return b.Wallets[bad].Sequence == 1 && len(b.Entries[bad]) == 0
	})
}

// What the ledger has of a backfill record has to be read. If that is refused the record
// joins its wallet's list whole, also a second one, and what the ledger has of them is
// left out when the list is applied.
func TestABackfillOfAWalletThatCannotBeReadHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 1)
	bad, good := w.created(), w.created()
	var done atomic.Bool
	r := w.replica(damage(bad, &done))
	applied := []wallet.Operation{r.mustDirect(deposit(bad, 1)), r.mustDirect(deposit(bad, 2))}
	for _, op := range applied {
		w.log.Append(backfill(op))
	}
	w.append(deposit(good, 1))
	done.Store(true)
	r.journal.Own(0)
	w.await("the others' operations, and a list of the wallet that is damaged", func(b simtest.Books) bool {
		return b.Wallets[good].Sequence == 1 && len(b.Entries[bad]) >= 2 // the owner writes one too
	})
	done.Store(false)
	w.await("the list is applied once the rows can be read", func(b simtest.Books) bool {
		return b.Wallets[bad].Sequence == 2 && len(b.Entries[bad]) == 0
	})
}

// held is a ledger in which somebody holds one wallet's row locked.
type held struct {
	applier.Ledger
	id       uuid.UUID
	released *atomic.Bool
}

func (l held) Locked(context.Context, []uuid.UUID) ([]uuid.UUID, error) {
	if l.released.Load() {
		return nil, nil
	}
	return []uuid.UUID{l.id}, nil
}

func (l held) Commit(ctx context.Context, b *wallet.Batch) error {
	if !l.released.Load() && slices.ContainsFunc(b.Changes, func(c wallet.Change) bool { return c.ID == l.id }) {
		return fmt.Errorf("%w: canceling statement due to lock timeout", wallet.ErrLocked)
	}
	return l.Ledger.Commit(ctx, b)
}

func TestALockedWalletBesideOneThatCannotBeReadIsFound(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 1)
	bad, locked, good := w.created(), w.created(), w.created()
	for _, id := range []uuid.UUID{good, locked, bad} {
		w.append(deposit(id, 1))
	}
	var done, released atomic.Bool
	r := w.replica(func(_ *replica, c *applier.Config) { c.Ledger = held{c.Ledger, locked, &released} }, damage(bad, &done))
	// Its lane knows the damaged wallet already: only the look for locked rows reads it.
	r.mustDirect(deposit(bad, 1))
	done.Store(true)
	r.journal.Own(0)
	w.await("the operations that nothing is in the way of", func(b simtest.Books) bool {
		return b.Wallets[good].Sequence == 1 && len(b.Entries[bad]) == 1 && len(b.Entries[locked]) == 1
	})
	released.Store(true)
	done.Store(false)
	w.await("the lists are applied", func(b simtest.Books) bool {
		return b.Wallets[bad].Sequence == 2 && b.Wallets[locked].Sequence == 1
	})
}

// A commit's answer was lost, and it landed; what is read to tell it has a wallet that
// cannot be read. That one stays untold: the other is told, and what follows goes on.
func TestWhatCannotBeToldOfAnUnreadableWalletHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 1)
	bad, good := w.created(), w.created()
	w.append(deposit(bad, 1), deposit(bad, 2))
	first, second := w.append(deposit(good, 1)), w.append(deposit(good, 1))
	var done atomic.Bool
	r := w.owning(withFaults(func(c simtest.Call) simtest.Fault {
		if c.Method == "Commit" && done.CompareAndSwap(false, true) {
			return simtest.LostAnswer
		}
		return simtest.None
	}), damage(bad, &done))
	for i, rec := range []wallet.Record{first, second} {
		if out := r.outcome(rec.Operations[0]); out.Sequence != int64(i+1) {
			t.Errorf("told: %+v", out)
		}
	}
	third := w.append(deposit(good, 1))
	r.outcome(third.Operations[0])
}

// narrow is a ledger that is too slow for more than so many operations in the time that a
// commit has.
type narrow struct {
	applier.Ledger
	most int
}

func (l narrow) Commit(ctx context.Context, b *wallet.Batch) error {
	if len(b.Operations) > l.most {
		return fmt.Errorf("%w: canceling statement due to statement timeout", wallet.ErrUnavailable)
	}
	return l.Ledger.Commit(ctx, b)
}

func TestALedgerThatTakesFewOperationsAtATimeGetsThem(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 1)
	id := w.created()
	for range 1000 {
		w.append(deposit(id, 1))
	}
	w.owning(func(_ *replica, c *applier.Config) { c.Ledger = narrow{c.Ledger, 100} })
	w.await("all operations", func(b simtest.Books) bool { return b.Wallets[id].Sequence == 1000 })
}

// What a replica had acknowledged before goes ahead of its first direct operation, in
// commits that are no larger than any other.
func TestALongBacklogGoesAheadOfADirectOperationInBatches(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 1)
	id := w.created()
	r := w.replica(withLimits(func(l *applier.Limits) { l.BatchOperations = 100 }),
		func(_ *replica, c *applier.Config) { c.Ledger = narrow{c.Ledger, 100} })
	for range 55 {
		var ops []wallet.Operation
		for range 10 {
			ops = append(ops, deposit(id, 1))
		}
		if _, err := r.journal.Write(ops...); err != nil {
			t.Fatal(err)
		}
	}
	if op := r.mustDirect(deposit(id, 1)); op.Sequence != 551 || op.BalanceAfter != 551 {
		t.Errorf("applied as %+v", op)
	}
	if n, _ := r.Unsettled(id, epoch); n != 0 {
		t.Errorf("%d operations are not known to be applied", n)
	}
}

// Its records are scattered among others': once it is set aside they cost the batches of
// the others nothing.
func TestAWalletThatCannotBeReadSplitsNoMoreBatchesOnceItIsSetAside(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 1)
	bad, good := w.created(), w.created()
	w.append(deposit(bad, 1))
	for range 100 {
		for range 9 {
			w.append(deposit(good, 1))
		}
		w.append(deposit(bad, 1))
	}
	var done atomic.Bool
	done.Store(true)
	commits := 0 // of the worker's goroutine
	r := w.owning(damage(bad, &done), withFaults(func(c simtest.Call) simtest.Fault {
		if c.Method == "Commit" {
			commits++
		}
		return simtest.None
	}), withLimits(func(l *applier.Limits) { l.MinRequeueDelay, l.MaxRequeueDelay = time.Hour, time.Hour }))
	w.await("all operations of the other, and a list", func(b simtest.Books) bool {
		return b.Wallets[good].Sequence == 900 && len(b.Entries[bad]) == 101
	})
	r.close()
	if commits > 20 {
		t.Errorf("%d commits", commits)
	}
}

// Many prefixes are committed of one take, each after a refusal.
func TestManyWalletsOfOneBatchAreSetAside(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 1)
	ids := make([]uuid.UUID, 100)
	for i := range ids {
		ids[i] = w.created()
	}
	for _, id := range ids {
		w.append(deposit(id, 1))
	}
	w.owning(withFaults(func(c simtest.Call) simtest.Fault {
		if c.Method == "Commit" && len(c.Batch.Changes) > 0 {
			return simtest.Refused
		}
		return simtest.None
	}))
	w.await("a list of each", func(b simtest.Books) bool {
		return !slices.ContainsFunc(ids, func(id uuid.UUID) bool { return len(b.Entries[id]) == 0 })
	})
}

func TestWhatWaitsForADeadLetterHasAnAge(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 1)
	id := w.created()
	w.append(deposit(id, 1))
	w.log.Append(wallet.Record{Kind: wallet.KindPoison, Poison: &wallet.Poison{Err: errDamaged}})
	w.append(deposit(id, 1))
	registry := prometheus.NewRegistry()
	burying := make(chan struct{})
	r := w.replica(func(_ *replica, c *applier.Config) { c.Registerer = registry })
	r.journal.Refuse(func(rec wallet.Record) error {
		if rec.Kind == wallet.KindPoison {
			select {
			case burying <- struct{}{}:
			default:
			}
			return errDamaged
		}
		return nil
	})
	r.journal.Own(0)
	wait(t, "a dead letter is refused", burying)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "walletd_oldest_unapplied_seconds" && f.Metric[0].GetGauge().GetValue() > 0 {
			return
		}
	}
	t.Error("walletd_oldest_unapplied_seconds is 0, and an operation waits")
}

// A wallet's rows cannot be read among those of a full round: the others' records are written,
// those that come after it too, and its own once they can be.
func TestAWalletThatCannotBeReadHoldsUpNoOtherWalletsBackfill(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 1)
	ids := make([]uuid.UUID, 9)
	for i := range ids {
		ids[i] = w.created()
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	bad := ids[1]
	var done atomic.Bool
	registry := prometheus.NewRegistry()
	r := w.replica(damage(bad, &done), withLimits(func(l *applier.Limits) { l.Backfills = 4 }),
		func(_ *replica, c *applier.Config) { c.Registerer = registry })
	for _, id := range ids {
		r.mustDirect(deposit(id, 5))
		r.mustDirect(withdraw(id, 2))
	}
	done.Store(true)
	r.journal.Own(0)
	left := func() []wallet.Key {
		keys, err := w.ledger.Unjournaled(testContext(t), uuid.Nil, 100)
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	eventually(t, "only its own are left", func() bool {
		keys := left()
		return len(keys) == 2 && keys[0].WalletID == bad && keys[1].WalletID == bad
	})
	if age := metric(t, registry, "walletd_oldest_unjournaled_seconds"); age <= 0 {
		t.Errorf("what cannot be read is said to be %v s old", age)
	}
	done.Store(false)
	eventually(t, "its own are written", func() bool { return len(left()) == 0 })
	w.settle()
}

// progressRefused is a ledger of which one partition's rows cannot be read.
type progressRefused struct {
	applier.Ledger
	partition int32
	repaired  *atomic.Bool
}

func (l progressRefused) Partition(ctx context.Context, topic uuid.UUID, partition int32) (wallet.Progress, error) {
	if partition == l.partition && !l.repaired.Load() {
		return wallet.Progress{}, errDamaged
	}
	return l.Ledger.Partition(ctx, topic, partition)
}

// Whoever assigns partitions asks for one after the other: a partition whose rows cannot be
// read must not keep it from the next.
func TestAPartitionWhoseOffsetCannotBeReadIsStoppedAndTheOthersAreRead(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, 2)
	var repaired atomic.Bool
	registry := prometheus.NewRegistry()
	r := w.replica(func(_ *replica, c *applier.Config) {
		c.Ledger, c.Registerer = progressRefused{c.Ledger, 0, &repaired}, registry
	})
	ctx, cancel := context.WithTimeout(testContext(t), time.Second)
	defer cancel()
	if _, err := r.Assigned(ctx, w.log.Topic, 0); !errors.Is(err, wallet.ErrRefused) {
		t.Fatalf("%v", err)
	}
	if next, err := r.Assigned(ctx, w.log.Topic, 1); err != nil || next != 0 || !r.Owns(1) {
		t.Errorf("the other: %d, %v", next, err)
	}
	if r.Owns(0) || !errors.Is(r.Stopped(), wallet.ErrRefused) {
		t.Errorf("owned %t, stopped: %v", r.Owns(0), r.Stopped())
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP walletd_partition_stopped 1 while a partition waits for an operator's decision.
# TYPE walletd_partition_stopped gauge
walletd_partition_stopped{partition="0"} 1
walletd_partition_stopped{partition="1"} 0
`), "walletd_partition_stopped"); err != nil {
		t.Error(err)
	}
	// Whoever owns it next, this replica or another, asks again.
	r.Revoked(0)
	repaired.Store(true)
	if next, err := r.Assigned(ctx, w.log.Topic, 0); err != nil || next != 0 || r.Stopped() != nil || !r.Owns(0) {
		t.Errorf("repaired: %d, %v, stopped: %v", next, err, r.Stopped())
	}
}
