package applier_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// Kafka has acknowledged records to this replica and lost them; others have their places,
// which the ledger has passed. What was promised is applied all the same, once, in order,
// and this replica's clients are told.
func TestWhatTheJournalHasLostIsAppliedDirectly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		id, made, other := w.created(), uuid.New(), w.created()
		registry := prometheus.NewRegistry()
		r := w.replica(func(_ *replica, c *applier.Config) { c.Registerer = registry })
		place := func(n int64) wallet.Receipt { return wallet.Receipt{Offset: w.log.End(0) + n} }
		first, second, onNew := deposit(id, 5), deposit(id, 7), deposit(made, 3)
		r.Acknowledged(wallet.Record{Kind: wallet.KindOperations, WalletID: id, Operations: []wallet.Operation{first}, Receipt: place(0)})
		r.Acknowledged(wallet.Record{Kind: wallet.KindOperations, WalletID: id, Operations: []wallet.Operation{second}, Receipt: place(1)})
		r.Acknowledged(wallet.Record{Kind: wallet.KindCreate, WalletID: made, Operations: []wallet.Operation{{ID: made, WalletID: made, AcceptedAt: epoch}}, Receipt: place(2)})
		r.Acknowledged(wallet.Record{Kind: wallet.KindOperations, WalletID: made, Operations: []wallet.Operation{onNew}, Receipt: place(3)})
		owner := w.owning()
		for range 4 {
			op := deposit(other, 1)
			w.append(op) // in the lost ones' places
			owner.outcome(op)
		}
		r.look()
		b := w.books()
		wantHistory(t, b, id, first, second)
		wantHistory(t, b, made, onNew)
		for _, op := range []wallet.Operation{first, second, onNew} {
			wantOutcome(t, r.outcome(op), wallet.Applied, wallet.NoReason, b.Operations[op.Key()].Sequence, b.Operations[op.Key()].BalanceAfter)
		}
		if n, _ := r.UnsettledInAll(); n != 0 {
			t.Errorf("%d have no outcome", n)
		}
		if got := metric(t, registry, "walletd_lost_operations_total"); got != 4 {
			t.Errorf("%v are counted as lost, want 4", got)
		}
	})
}

// What an old journal had and no replica has applied is as lost.
func TestWhatWasLostWithAJournalIsAppliedDirectly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		id := w.created()
		r := w.replica()
		op := deposit(id, 5)
		r.Acknowledged(wallet.Record{Kind: wallet.KindOperations, WalletID: id, Operations: []wallet.Operation{op}, Receipt: wallet.Receipt{Offset: 1000}})
		r.look()
		wantHistory(t, w.books(), id) // it may be on its way
		r.JournalReplaced()
		r.look()
		wantHistory(t, w.books(), id, op)
	})
}

// holding is a ledger of which somebody holds rows until they are free.
func holding(free *atomic.Bool, but func(uuid.UUID) bool) func(*replica, *applier.Config) {
	return withFaults(func(c simtest.Call) simtest.Fault {
		if c.Method != "Commit" || free.Load() || but(c.Batch.Operations[0].WalletID) {
			return simtest.None
		}
		time.Sleep(500 * time.Millisecond) // the lock timeout
		return simtest.Locked
	})
}

func none(uuid.UUID) bool { return false }

// Somebody holds the row: the look does not wait, and a later one applies it.
func TestALostOperationOfAWalletThatIsHeldIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		id, free := w.created(), new(atomic.Bool)
		r := w.replica(holding(free, none))
		op := deposit(id, 5)
		r.lose(op)
		look := func() { // once a second, as accepting does
			t.Helper()
			began := time.Now()
			r.reconcile()
			if took := time.Since(began); took > 0 {
				t.Errorf("a look waits %s for a row", took)
			}
			time.Sleep(time.Second)
		}
		for range 30 {
			look()
		}
		wantHistory(t, w.books(), id)
		free.Store(true)
		look()
		wantHistory(t, w.books(), id, op)
	})
}

// rowsHeld is a ledger that says which rows somebody holds.
type rowsHeld struct {
	applier.Ledger
	free *atomic.Bool
}

func (l rowsHeld) Locked(_ context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	if l.free.Load() {
		return nil, nil
	}
	return ids, nil
}

// A wallet whose row is held, or seems to be since its owner commits all the time, is tried
// all the same; but its tries leave the turns to wallets that are free.
func TestWhatIsLostOfWalletsThatAreHeldLeavesTheTurnsToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		other, free, seems := w.created(), new(atomic.Bool), w.created()
		r := w.replica(holding(free, func(id uuid.UUID) bool { return id == other || id == seems }), func(_ *replica, c *applier.Config) {
			c.Ledger, c.Limits.DirectCommits = rowsHeld{c.Ledger, free}, 1
		})
		held, op := w.created(), deposit(seems, 5)
		for range 5 {
			r.lose(deposit(held, 1))
			held = w.created()
		}
		r.lose(op)
		r.reconcile()
		began := time.Now()
		r.mustDirect(deposit(other, 1))
		if took := time.Since(began); took > 0 {
			t.Errorf("another wallet waited %s", took)
		}
		synctest.Wait()
		time.Sleep(3 * time.Second)
		wantHistory(t, w.books(), seems, op)
	})
}

// refusesLocked does not tell whether one wallet's row is held: it cannot be read.
type refusesLocked struct {
	applier.Ledger
	damaged uuid.UUID
}

func (l refusesLocked) Locked(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	if slices.Contains(ids, l.damaged) {
		return nil, fmt.Errorf("%w: a damaged block", wallet.ErrRefused)
	}
	return l.Ledger.Locked(ctx, ids)
}

func TestAWalletThatCannotBeReadKeepsNobodyElsesLostOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		damaged, sound := w.created(), w.created()
		r := w.replica(func(_ *replica, c *applier.Config) { c.Ledger = refusesLocked{c.Ledger, damaged} })
		op := deposit(sound, 1)
		r.lose(deposit(damaged, 1))
		r.lose(op)
		if _, err := r.Reconcile(t.Context(), w.books().Offsets); !errors.Is(err, wallet.ErrRefused) {
			t.Errorf("the look says %v", err)
		}
		synctest.Wait()
		wantHistory(t, w.books(), sound, op)
	})
}

// A deposit is on its wallet's list; a withdrawal that was sent after it was answered is
// lost. The row is free again, and the list is not due yet.
func TestWhatIsLostDoesNotPassWhatIsOnTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		id, held := w.created(), new(atomic.Bool)
		held.Store(true)
		r := w.owning(withFaults(func(c simtest.Call) simtest.Fault {
			if c.Method == "Commit" && held.Load() && slices.ContainsFunc(c.Batch.Changes, func(c wallet.Change) bool { return c.ID == id }) {
				return simtest.Refused
			}
			return simtest.None
		}), withLimits(func(l *applier.Limits) { l.MinRequeueDelay, l.MaxRequeueDelay = 30*time.Second, 30*time.Second }))
		in, out := deposit(id, 100), withdraw(id, 100)
		if _, err := r.journal.Write(in); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is on the list", func() bool { return len(w.books().Entries[id]) == 1 })
		r.lose(out)
		held.Store(false)
		r.look()
		wantHistory(t, w.books(), id, in, out)
		wantOutcome(t, w.books().Operations[out.Key()], wallet.Applied, wallet.NoReason, 2, 0)
	})
}

// acknowledged has the replica believe that an operation is in the journal.
func (r *replica) acknowledged(op wallet.Operation, offset int64) {
	r.Acknowledged(wallet.Record{Kind: wallet.KindOperations, WalletID: op.WalletID, Operations: []wallet.Operation{op}, Receipt: wallet.Receipt{Offset: offset}})
}

// reconcile is what accepting does once a second.
func (r *replica) reconcile() {
	r.t.Helper()
	if _, err := r.Reconcile(r.t.Context(), r.books().Offsets); err != nil {
		r.t.Fatal(err)
	}
}

// look waits until what reconcile has begun is done, or waits for a time.
func (r *replica) look() {
	r.t.Helper()
	r.reconcile()
	synctest.Wait()
}

// The partition goes on from an end that is shorter than what was acknowledged, and no record
// need ever come to the lost ones' places. What is left is applied first: a deposit of another
// replica's, and an own operation behind it.
func TestWhatAShorterEndHasLostIsAppliedBehindWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		id, other := w.created(), w.created()
		r := w.replica()
		in, out, first, second, known := deposit(id, 100), withdraw(id, 100), deposit(id, 2), withdraw(id, 2), deposit(other, 5)
		w.append(in)
		w.append(out)
		r.acknowledged(out, 1)
		r.acknowledged(first, 2)
		r.acknowledged(second, 3)
		r.acknowledged(known, 4) // behind what was known when the end was asked for: it is there
		r.JournalTruncated(1, 0, 9)
		if r.Recovering() {
			t.Error("another partition's end was lost")
		}
		r.JournalTruncated(0, 2, 4)
		for range 60 {
			if r.look(); !r.Recovering() || len(history(w.books(), id)) > 0 {
				t.Fatalf("applied before what the journal has: %+v", history(w.books(), id))
			}
			time.Sleep(time.Second)
		}
		w.owning().outcome(out)
		r.look()
		wantHistory(t, w.books(), id, in, out, first, second)
		wantHistory(t, w.books(), other)
		if r.Recovering() {
			t.Error("it is still being recovered")
		}
	})
}

// An operator has another topic followed, or more of the end is lost, before what is left is
// applied: there is less, or nothing, to wait behind.
func TestWhatIsLostWaitsBehindWhatIsLeft(t *testing.T) {
	for name, shrink := range map[string]func(*replica){
		"another topic": func(r *replica) { r.JournalReplaced() },
		"a shorter end": func(r *replica) { r.JournalTruncated(0, 1, 0) },
		"an empty one":  func(r *replica) { r.JournalTruncated(0, 0, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newMemoryWorld(t, 1)
				r, op, left := w.replica(), deposit(w.created(), 5), deposit(w.created(), 1)
				w.append(left)
				w.owning().outcome(left)
				r.acknowledged(op, 1000)
				r.JournalTruncated(0, 900, 1001)
				if got, ok := r.Accepted(op.Key()); !ok || got.ID != op.ID || got.Status != wallet.Pending {
					t.Errorf("it is not known to be accepted: %+v", got)
				}
				r.look()
				wantHistory(t, w.books(), op.WalletID)
				shrink(r)
				r.look()
				wantHistory(t, w.books(), op.WalletID, op)
				if _, ok := r.Accepted(op.Key()); ok || r.Recovering() {
					t.Error("it is still being recovered")
				}
			})
		})
	}
}

// Of a whole partition nothing is left.
func TestWhatAnEmptyPartitionHasLostIsAppliedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		r, op := w.replica(), deposit(w.created(), 1)
		r.acknowledged(op, 7)
		r.JournalTruncated(0, 0, 8)
		r.look()
		wantHistory(t, w.books(), op.WalletID, op)
	})
}

// Partitions wait until it is applied, for a bounded time.
func TestRecoveryOfManyGoesOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		r := w.replica(withFaults(func(c simtest.Call) simtest.Fault {
			if c.Method == "Commit" {
				time.Sleep(time.Millisecond)
			}
			return simtest.None
		}))
		const wallets, each, much = 3000, 3, 500 // as accepting takes for a reason to look again at once
		for range wallets {
			id := w.created()
			for range each {
				r.acknowledged(deposit(id, 1), 1)
			}
		}
		r.JournalReplaced()
		began := time.Now()
		for looks := 1; r.Recovering(); looks++ {
			settled, err := r.Reconcile(t.Context(), w.books().Offsets)
			if err != nil || looks > 200 {
				t.Fatal(looks, err)
			}
			if time.Sleep(50 * time.Millisecond); settled < much {
				time.Sleep(950 * time.Millisecond)
			}
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%d lost operations took %s", wallets*each, took)
		}
	})
}

// Nobody waits for what is lost: neither does Close, beyond the tries that are under way.
func TestCloseDoesNotWaitForWhatIsLost(t *testing.T) {
	for name, seen := range map[string]bool{"held since": false, "seen to be held": true} {
		synctest.Test(t, func(t *testing.T) {
			w := newMemoryWorld(t, 1)
			notSeen := new(atomic.Bool)
			notSeen.Store(!seen)
			r := w.replica(holding(new(atomic.Bool), none), func(_ *replica, c *applier.Config) { c.Ledger = rowsHeld{c.Ledger, notSeen} })
			for range 500 {
				r.acknowledged(deposit(w.created(), 1), 0)
			}
			r.JournalReplaced()
			r.reconcile()
			time.Sleep(time.Millisecond)
			began := time.Now()
			r.Close()
			if took := time.Since(began); took > time.Second {
				t.Errorf("%s: Close took %s", name, took)
			}
		})
	}
}

// A wallet seems to be held since its owner commits all the time. Its clients do not wait for
// the turns of wallets that are.
func TestAClientOfAWalletThatSeemedHeldDoesNotWaitForThoseThatAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		free, seems := new(atomic.Bool), w.created()
		r := w.replica(holding(free, func(id uuid.UUID) bool { return id == seems }), func(_ *replica, c *applier.Config) { c.Ledger = rowsHeld{c.Ledger, free} })
		for range 15 {
			r.acknowledged(deposit(w.created(), 1), 0)
		}
		r.JournalReplaced()
		r.reconcile()
		time.Sleep(time.Millisecond)
		lost, op := deposit(seems, 1), deposit(seems, 1)
		r.lose(lost)
		r.reconcile()
		time.Sleep(time.Millisecond)
		began := time.Now()
		r.mustDirect(op)
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %s", took)
		}
		wantHistory(t, w.books(), seems, lost, op)
		free.Store(true)
	})
}

// rowsHeldBut is a ledger of which somebody holds all rows but these.
type rowsHeldBut struct {
	applier.Ledger
	free map[uuid.UUID]bool
}

func (l rowsHeldBut) Locked(_ context.Context, ids []uuid.UUID) (held []uuid.UUID, _ error) {
	return slices.DeleteFunc(slices.Clone(ids), func(id uuid.UUID) bool { return l.free[id] }), nil
}

func TestWalletsThatAreHeldKeepNobodyElsesLostOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		released, free := new(atomic.Bool), map[uuid.UUID]bool{}
		r := w.replica(holding(released, func(id uuid.UUID) bool { return free[id] }), func(_ *replica, c *applier.Config) { c.Ledger = rowsHeldBut{c.Ledger, free} })
		for n := range 1500 {
			id := w.created()
			free[id] = n%3 == 0
			r.acknowledged(deposit(id, 1), 0)
		}
		r.JournalReplaced()
		for range 30 {
			r.reconcile()
			time.Sleep(time.Second)
		}
		for id := range free {
			if n := len(history(w.books(), id)); free[id] != (n == 1) {
				t.Fatalf("held: %t, applied: %d", !free[id], n)
			}
		}
		released.Store(true)
	})
}

// lose has the replica know an operation that was in a journal that is gone.
func (r *replica) lose(op wallet.Operation) {
	r.Acknowledged(wallet.Record{Kind: wallet.KindOperations, WalletID: op.WalletID, Operations: []wallet.Operation{op}, Receipt: wallet.Receipt{Offset: 0}})
	r.JournalReplaced()
}

// What is lost of wallets that stay held is not in the way of one that was held for a while.
func TestWhatIsLostOfHeldWalletsKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		id, free := w.created(), new(atomic.Bool)
		r := w.replica(holding(new(atomic.Bool), func(of uuid.UUID) bool { return of == id && free.Load() }), withLimits(func(l *applier.Limits) { l.DirectCommits = 10 }))
		for range 40 {
			r.lose(deposit(w.created(), 1))
		}
		var looking sync.WaitGroup
		looking.Go(func() {
			for range 20 {
				_, _ = r.Reconcile(t.Context(), w.books().Offsets)
				time.Sleep(time.Second)
			}
		})
		time.Sleep(5 * time.Second)
		done := r.begin(t.Context(), deposit(id, 1))
		time.Sleep(3 * time.Second)
		free.Store(true)
		began := time.Now()
		wantApplied(t, done)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it waited %s after its row was free", took)
		}
		looking.Wait()
	})
}

// What is lost is applied, and nothing else: the journal still has what came after it, and
// between that what another replica has accepted.
func TestWhatIsNotLostKeepsItsPlaceInTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		id, other := w.created(), w.created()
		r := w.replica()
		lost := deposit(id, 1)
		r.Acknowledged(wallet.Record{Kind: wallet.KindOperations, WalletID: id, Operations: []wallet.Operation{lost}, Receipt: wallet.Receipt{Offset: w.log.End(0)}})
		owner := w.owning()
		op := deposit(other, 1)
		w.append(op) // in its place
		owner.outcome(op)
		owner.close()
		first, second := deposit(id, 100), withdraw(id, 100)
		w.append(first)                  // another replica's
		r.Acknowledged(w.append(second)) // and then this one's
		r.look()
		w.owning()
		time.Sleep(time.Second)
		b := w.books()
		wantHistory(t, b, id, lost, first, second)
		if got := b.Operations[second.Key()]; got.Status != wallet.Applied {
			t.Errorf("%+v", got)
		}
	})
}

// However much of one wallet waits on its list, what is lost of another is found soon.
func TestALongListHidesNothingThatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		listed, id := w.created(), w.created()
		r := w.replica()
		owner := w.owning(withFaults(func(c simtest.Call) simtest.Fault {
			if c.Method == "Commit" && slices.ContainsFunc(c.Batch.Changes, func(c wallet.Change) bool { return c.ID == listed }) {
				return simtest.Refused
			}
			return simtest.None
		}), withLimits(func(l *applier.Limits) { l.MinRequeueDelay, l.MaxRequeueDelay = time.Hour, time.Hour }))
		for range 30 {
			var ops []wallet.Operation
			for range 100 {
				ops = append(ops, deposit(listed, 1))
			}
			r.Acknowledged(w.append(ops...))
		}
		eventually(t, "all are on the list", func() bool { return len(w.books().Entries[listed]) == 3000 })
		op := deposit(id, 7)
		r.Acknowledged(wallet.Record{Kind: wallet.KindOperations, WalletID: id, Operations: []wallet.Operation{op}, Receipt: wallet.Receipt{Offset: 0}})
		const enough = 100 // a look finds it with a chance of a fifth
		for looks := 0; len(history(w.books(), id)) == 0; looks++ {
			if looks == enough {
				t.Fatalf("it is not found in %d looks", looks)
			}
			r.look()
		}
		wantHistory(t, w.books(), id, op)
		owner.close()
	})
}

// A creation that is lost gets its record in the journal, as what is applied directly does.
func TestALostCreationIsJournaledAgain(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	other, made := w.created(), uuid.New()
	r := w.replica()
	place := wallet.Receipt{Offset: w.log.End(0)}
	r.Acknowledged(wallet.Record{Kind: wallet.KindCreate, WalletID: made, Operations: []wallet.Operation{{ID: made, WalletID: made, AcceptedAt: epoch}}, Receipt: place})
	owner := w.owning()
	op := deposit(other, 1)
	w.append(op) // in its place
	owner.outcome(op)
	if _, err := r.Reconcile(t.Context(), w.books().Offsets); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has its record", func() bool {
		return slices.ContainsFunc(w.log.Records(0), func(r wallet.Record) bool { return r.Kind == wallet.KindCreate && r.WalletID == made })
	})
}

// While the turns are taken each look asks again: that must not take the places of others.
func TestAWalletHasOneRecoveryUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		busy, id, other := w.created(), w.created(), w.created()
		open := make(chan struct{})
		var blocked atomic.Bool
		blocked.Store(true)
		r := w.replica(withLimits(func(l *applier.Limits) { l.DirectCommits = 1 }), withFaults(func(c simtest.Call) simtest.Fault {
			if c.Method == "Commit" && blocked.Load() {
				<-open
			}
			return simtest.None
		}))
		r.begin(t.Context(), deposit(busy, 1))
		synctest.Wait()
		lose := func(id uuid.UUID, offset int64) {
			r.acknowledged(deposit(id, 5), offset)
			r.JournalTruncated(0, 0, offset+1)
		}
		lose(id, 1000)
		for range 600 {
			r.look()
		}
		lose(other, 2000)
		r.look()
		blocked.Store(false)
		close(open)
		synctest.Wait()
		for _, id := range []uuid.UUID{id, other} {
			if n := len(history(w.books(), id)); n != 1 {
				t.Errorf("%d operations are applied", n)
			}
		}
	})
}
