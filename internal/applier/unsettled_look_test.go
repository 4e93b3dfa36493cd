package applier

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/wallet"
)

// asking is a ledger that has everything on lists, and counts what it is asked for.
type asking struct {
	Ledger
	asked map[uuid.UUID]int
}

func (l *asking) Read(_ context.Context, q wallet.SnapshotQuery) (wallet.Snapshot, error) {
	for _, k := range q.Operations {
		l.asked[k.WalletID]++
	}
	return wallet.Snapshot{}, nil
}

func (l *asking) Lost(context.Context, []wallet.Placed) ([]wallet.Key, error) { return nil, nil }

func keepOf(a *Applier, id uuid.UUID, offset int) {
	a.lanes.keep(wallet.Record{WalletID: id, Operations: []wallet.Operation{{ID: uuid.New()}}, Receipt: wallet.Receipt{Offset: int64(offset)}},
		a.Limits.UnsettledPerWallet, a.Limits.Unsettled)
}

func TestALaneWhoseOverflowTheLedgerHasPassedCanBeRetired(t *testing.T) {
	limits := DefaultLimits()
	limits.Lanes, limits.Unsettled = 10, 0
	a := New(Config{Ledger: &asking{asked: map[uuid.UUID]int{}}, Limits: limits, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: time.Now})
	for i := range 1000 {
		keepOf(a, uuid.New(), i)
	}
	if _, err := a.Reconcile(t.Context(), map[int32]int64{0: 1000}); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		a.lanes.get(uuid.New())
	}
	if n := size(a.lanes); n > limits.Lanes {
		t.Errorf("%d lanes, the limit is %d", n, limits.Lanes)
	}
}

// Offsets of a journal that an operator has given up say nothing in the next one, which
// begins at 0: what was lost with it must not count as load until that is as long, nor keep
// the direct way from its wallet.
func TestWhatWasLostWithAJournalIsNoLoadInTheNext(t *testing.T) {
	limits := DefaultLimits()
	limits.UnsettledPerWallet = 10
	a := New(Config{Ledger: &asking{asked: map[uuid.UUID]int{}}, Limits: limits, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: time.Now})
	id := uuid.New()
	counted := func(want int) {
		t.Helper()
		if _, err := a.Reconcile(t.Context(), map[int32]int64{0: 5}); err != nil {
			t.Fatal(err)
		}
		all, _ := a.UnsettledInAll()
		if n, _ := a.Unsettled(id, time.Time{}); n != want || all != want {
			t.Errorf("%d of the wallet and %d in all count, want %d", n, all, want)
		}
	}
	for i := range limits.UnsettledPerWallet + 1 { // one more than finds room
		keepOf(a, id, 1_000+i)
	}
	counted(limits.UnsettledPerWallet)
	a.JournalReplaced()
	counted(0)
	limits.UnsettledPerWallet++
	a.Limits = limits
	keepOf(a, id, 7)
	counted(1)
	ln := a.lanes.lockIntake(id)
	defer ln.intakeMu.Unlock()
	if len(ln.unsettled) != limits.UnsettledPerWallet || ln.overflow.Known() {
		t.Errorf("the direct way knows %d, overflow %s", len(ln.unsettled), ln.overflow)
	}
}

func TestRequeuedOperationsKeepNoOthersFromBeingAskedFor(t *testing.T) {
	ledger := &asking{asked: map[uuid.UUID]int{}}
	a := New(Config{Ledger: ledger, Limits: DefaultLimits(), Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: time.Now})
	const wallets = 2 * maxAsked / maxAskedPerWallet
	for range wallets {
		id := uuid.New()
		for i := range maxAskedPerWallet + 1 {
			keepOf(a, id, i)
		}
	}
	for range 500 {
		if _, err := a.Reconcile(t.Context(), map[int32]int64{0: 1 << 40}); err != nil {
			t.Fatal(err)
		}
	}
	if len(ledger.asked) != wallets {
		t.Errorf("%d of %d wallets were asked for", len(ledger.asked), wallets)
	}
}

// having is a ledger that has whatever it is asked for.
type having struct{ Ledger }

func (having) Read(_ context.Context, q wallet.SnapshotQuery) (wallet.Snapshot, error) {
	s := wallet.Snapshot{Wallets: map[uuid.UUID]wallet.State{}, Operations: map[wallet.Key]wallet.Operation{}}
	for _, k := range q.Operations {
		s.Operations[k] = wallet.Operation{ID: k.ID, WalletID: k.WalletID}
	}
	for _, id := range q.Wallets {
		s.Wallets[id] = wallet.State{}
	}
	return s, nil
}

// unreadable is a ledger that has whatever it is asked for, but for wallets that it refuses
// to read.
type unreadable struct {
	having
	wallets map[uuid.UUID]bool
	reads   int
}

func (l *unreadable) Read(ctx context.Context, q wallet.SnapshotQuery) (wallet.Snapshot, error) {
	l.reads++
	if slices.ContainsFunc(q.Wallets, func(id uuid.UUID) bool { return l.wallets[id] }) ||
		slices.ContainsFunc(q.Operations, func(k wallet.Key) bool { return l.wallets[k.WalletID] }) {
		return wallet.Snapshot{}, wallet.ErrRefused
	}
	return l.having.Read(ctx, q)
}

// Invariant 4: an operation and a creation of wallets whose rows cannot be read stay
// unsettled, and what is of others is settled beside them.
func TestAWalletThatCannotBeReadKeepsNoOthersFromBeingSettled(t *testing.T) {
	one, other := uuid.New(), uuid.New()
	ledger := &unreadable{wallets: map[uuid.UUID]bool{one: true, other: true}}
	a := New(Config{Ledger: ledger, Limits: DefaultLimits(), Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: time.Now})
	const wallets = 100
	for range wallets {
		id := uuid.New()
		keepOf(a, id, 0)
		keepCreation(a, id)
	}
	keepOf(a, one, 0)
	keepCreation(a, other)
	if _, err := a.Reconcile(t.Context(), map[int32]int64{0: 1}); !errors.Is(err, wallet.ErrRefused) {
		t.Errorf("%v", err)
	}
	if left, settled := a.lanes.unsettled.Load(), a.lanes.settled.Load(); left != 2 || settled != 2*wallets {
		t.Errorf("%d are left, %d settled", left, settled)
	}
	for range wallets {
		id := uuid.New()
		keepOf(a, id, 0)
		ledger.wallets[id] = true
	}
	ledger.reads = 0
	if _, err := a.Reconcile(t.Context(), map[int32]int64{0: 1}); !errors.Is(err, wallet.ErrRefused) || ledger.reads > lookReads {
		t.Errorf("%d reads, %v", ledger.reads, err)
	}
}

func keepCreation(a *Applier, id uuid.UUID) {
	a.lanes.keep(wallet.Record{Kind: wallet.KindCreate, WalletID: id, Operations: []wallet.Operation{{ID: id}}, Receipt: wallet.Receipt{Offset: 0}},
		a.Limits.UnsettledPerWallet, a.Limits.Unsettled)
}

// A client that repeats its key again and again has as many acknowledged records:
// settled one in a look, they would hold the wallet's limit for minutes.
func TestOneLookSettlesEveryRecordOfWhatTheLedgerHas(t *testing.T) {
	a := New(Config{Ledger: having{}, Limits: DefaultLimits(), Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: time.Now})
	id := uuid.New()
	for offset := range int64(10) {
		for _, rec := range []wallet.Record{
			{Kind: wallet.KindCreate, Operations: []wallet.Operation{{ID: id}}},
			{Kind: wallet.KindOperations, Operations: []wallet.Operation{{ID: uuid.UUID{1}}}},
		} {
			rec.WalletID, rec.Receipt = id, wallet.Receipt{Offset: offset}
			a.lanes.keep(rec, a.Limits.UnsettledPerWallet, a.Limits.Unsettled)
		}
	}
	if _, err := a.Reconcile(t.Context(), map[int32]int64{0: 9}); err != nil {
		t.Fatal(err)
	}
	if left, _ := a.Unsettled(id, time.Time{}); left != 2 { // of the record that the ledger has not passed
		t.Errorf("%d are left", left)
	}
}

// Invariant 4: what is set aside is the ledger's, in a list with a bound of its own.
// Counted towards the replica's load, some wallets that somebody holds locked would
// have every other wallet refused.
func TestWhatTheLedgerHasPassedIsNoLoadOfTheReplica(t *testing.T) {
	a := New(Config{Ledger: &asking{asked: map[uuid.UUID]int{}}, Limits: DefaultLimits(), Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: time.Now})
	first, second := uuid.New(), uuid.New()
	for offset := range 10 {
		keepOf(a, first, offset)
		keepOf(a, second, offset)
	}
	for next, want := range map[int64]int{0: 20, 6: 8, 10: 0, 3: 14} {
		if _, err := a.Reconcile(t.Context(), map[int32]int64{0: next}); err != nil {
			t.Fatal(err)
		}
		if waiting, _ := a.UnsettledInAll(); waiting != want {
			t.Errorf("the ledger is at %d: %d wait, want %d", next, waiting, want)
		}
		if waiting, _ := a.Unsettled(first, time.Time{}); waiting != 10 {
			t.Errorf("the ledger is at %d: %d of the wallet wait", next, waiting)
		}
	}
}

// A partition that stands still, as one whose records are lost, fills up with what is
// accepted for it. That must not have everybody else refused.
func TestAPartitionThatStandsStillIsNoLoadOfTheReplica(t *testing.T) {
	now := time.Now()
	a := New(Config{Ledger: &asking{asked: map[uuid.UUID]int{}}, Limits: DefaultLimits(), Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: func() time.Time { return now }})
	id, moves := uuid.New(), uuid.New()
	for offset := range 10 {
		keepOf(a, id, offset)
		a.lanes.keep(wallet.Record{WalletID: moves, Operations: []wallet.Operation{{ID: uuid.New()}}, Receipt: wallet.Receipt{Partition: 1, Offset: int64(offset)}}, 100, 100)
	}
	for i, c := range []struct {
		after       time.Duration
		first, next int64
		want        int
	}{
		{0, 4, 0, 16},
		{stalledAfter, 4, 1, 15},
		{time.Second, 4, 2, 8}, // those of partition 1
		{stalledAfter, 4, 3, 7},
		{time.Second, 5, 4, 6}, // it goes on, and soon applies what has gathered
		{time.Second, 9, 5, 5},
		{time.Second, 3, 6, 4}, // heard late
	} {
		now = now.Add(c.after)
		if _, err := a.Reconcile(t.Context(), map[int32]int64{0: c.first, 1: c.next}); err != nil {
			t.Fatal(err)
		}
		if waiting, _ := a.UnsettledInAll(); waiting != c.want {
			t.Errorf("look %d: %d wait, want %d", i+1, waiting, c.want)
		}
		if waiting, _ := a.Unsettled(id, time.Time{}); waiting != 10 {
			t.Errorf("look %d: %d of its wallet wait", i+1, waiting)
		}
	}
}

// Else they would take all the room in which a replica remembers what it has accepted.
func TestPartitionsThatStandStillAreNoLoadUpToHalfOfWhatIsRemembered(t *testing.T) {
	now, limits := time.Now(), DefaultLimits()
	limits.Unsettled = 20
	a := New(Config{Ledger: &asking{asked: map[uuid.UUID]int{}}, Limits: limits, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: func() time.Time { return now }})
	for range 15 {
		keepOf(a, uuid.New(), 9)
	}
	for i, want := range []int{15, 5} {
		if _, err := a.Reconcile(t.Context(), map[int32]int64{0: 3}); err != nil {
			t.Fatal(err)
		}
		if waiting, _ := a.UnsettledInAll(); waiting != want {
			t.Errorf("look %d: %d wait, want %d", i+1, waiting, want)
		}
		now = now.Add(2 * stalledAfter)
	}
}

// What is lost of a wallet is applied in order: a look asks for all of it or for none.
func TestSomeWalletsPicksWholeWallets(t *testing.T) {
	var placed []wallet.Placed
	sizes := map[uuid.UUID]int{}
	for _, size := range []int{300, 250, 2, 1, 1500, 40} {
		id := uuid.New()
		sizes[id] = size
		for range size {
			placed = append(placed, wallet.Placed{Key: wallet.Key{WalletID: id, ID: uuid.New()}})
		}
	}
	met := map[uuid.UUID]bool{}
	for range 1000 {
		some, count := someWallets(placed), 0
		for _, of := range some {
			id := of[0].WalletID
			if len(of) != sizes[id] || slices.ContainsFunc(of, func(p wallet.Placed) bool { return p.WalletID != id }) {
				t.Fatalf("%d of %d", len(of), sizes[id])
			}
			met[id], count = true, count+len(of)
		}
		if len(some) == 0 || count > maxLostAsked && len(some) > 1 {
			t.Fatalf("%d wallets with %d operations", len(some), count)
		}
	}
	if len(met) != len(sizes) {
		t.Errorf("%d of %d wallets were ever asked for", len(met), len(sizes))
	}
	if some := someWallets(nil); len(some) != 0 {
		t.Errorf("of nothing: %v", some)
	}
}

// Who looks goes by it when to look again.
func TestALookSaysHowManyItHasSettled(t *testing.T) {
	for name, c := range map[string]struct {
		ledger Ledger
		passed int64
		want   []int // settled by each look
	}{
		"two shares and a bit":       {having{}, 2*maxAskedPerWallet + 10, []int{maxAskedPerWallet, maxAskedPerWallet, 10, 0}},
		"less than a share":          {having{}, maxAskedPerWallet - 1, []int{maxAskedPerWallet - 1, 0}},
		"all of it is on a list":     {&asking{asked: map[uuid.UUID]int{}}, 1 << 40, []int{0}},
		"the ledger has passed none": {having{}, 0, []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			a := New(Config{Ledger: c.ledger, Limits: DefaultLimits(), Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: time.Now})
			id := uuid.New()
			for i := range 2*maxAskedPerWallet + 20 {
				keepOf(a, id, i)
			}
			for i, want := range c.want {
				before, _ := a.Unsettled(id, time.Time{})
				settled, err := a.Reconcile(t.Context(), map[int32]int64{0: c.passed})
				after, _ := a.Unsettled(id, time.Time{})
				if err != nil || settled != want || before-after != want {
					t.Errorf("look %d: settled %d, it says %d, want %d, %v", i+1, before-after, settled, want, err)
				}
			}
		})
	}
}

// What was lost with a journal, and cannot be applied, stays before what its wallet has in
// the next one, which is asked for all the same.
func TestWhatWasLostWithAJournalKeepsNothingFromBeingSettled(t *testing.T) {
	ledger := &lacking{asking: &asking{asked: map[uuid.UUID]int{}}, has: map[uuid.UUID]bool{}}
	a := New(Config{Ledger: ledger, Limits: DefaultLimits(), Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: time.Now})
	id, op := uuid.New(), uuid.New()
	for offset := range maxAskedPerWallet {
		keepOf(a, id, offset)
	}
	a.JournalReplaced()
	a.lanes.keep(wallet.Record{WalletID: id, Operations: []wallet.Operation{{ID: op}}, Receipt: wallet.Receipt{Offset: 0}}, a.Limits.UnsettledPerWallet, a.Limits.Unsettled)
	ledger.has[op] = true
	if settled, err := a.Reconcile(t.Context(), map[int32]int64{0: 1}); err != nil || settled != 1 {
		t.Errorf("%d are settled, %v", settled, err)
	}
}

// lacking is a ledger that has applied some, and has the others on lists.
type lacking struct {
	*asking
	has map[uuid.UUID]bool
}

func (l *lacking) Read(_ context.Context, q wallet.SnapshotQuery) (wallet.Snapshot, error) {
	s := wallet.Snapshot{Operations: map[wallet.Key]wallet.Operation{}}
	for _, k := range q.Operations {
		if l.has[k.ID] {
			s.Operations[k] = wallet.Operation{ID: k.ID, WalletID: k.WalletID}
		}
	}
	return s, nil
}

// Offsets that were read before a commit here are heard after it.
func TestABacklogIsNoLoadThoughOffsetsAreHeardLate(t *testing.T) {
	now := time.Now()
	a := New(Config{Ledger: &asking{asked: map[uuid.UUID]int{}}, Limits: DefaultLimits(), Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: func() time.Time { return now }})
	for offset := range 10 {
		keepOf(a, uuid.New(), offset)
	}
	look := func(next int64, want int) {
		t.Helper()
		if _, err := a.Reconcile(t.Context(), map[int32]int64{0: next}); err != nil {
			t.Fatal(err)
		}
		if waiting, _ := a.UnsettledInAll(); waiting != want {
			t.Errorf("at %d: %d wait, want %d", next, waiting, want)
		}
	}
	look(0, 10)
	now = now.Add(2 * stalledAfter)
	look(0, 0)
	look(3, 0)
	look(2, 0)
	look(4, 0)
	a.JournalReplaced()
	look(0, 0)
	keepOf(a, uuid.New(), 5) // of the next journal
	look(0, 1)
}
