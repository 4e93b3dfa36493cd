package applier_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// gate holds the first commit of the direct way until it is opened.
type gate struct {
	reached, open chan struct{}
	commits       atomic.Int64
}

func newGate() *gate { return &gate{reached: make(chan struct{}), open: make(chan struct{})} }

func (g *gate) option() func(*replica, *applier.Config) {
	return withFaults(func(c simtest.Call) simtest.Fault {
		if c.Method == "Commit" && c.Batch.Fence == nil && g.commits.Add(1) == 1 {
			close(g.reached)
			<-g.open
		}
		return simtest.None
	})
}

func TestADirectOperationIsAnsweredAfterItsCommit(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	r, id := w.replica(), w.created()
	done := r.mustDirect(deposit(id, 5))
	wantOutcome(t, done, wallet.Applied, wallet.NoReason, 1, 5)
	if done.Origin != wallet.Direct || done.Receipt.Known() {
		t.Errorf("%+v", done)
	}
	wantOutcome(t, r.mustDirect(withdraw(id, 6)), wallet.Failed, wallet.InsufficientFunds, 2, 5)
	wantOutcome(t, r.mustDirect(deposit(uuid.New(), 1)), wallet.Failed, wallet.WalletMissing, 0, 0)
	for i, c := range r.told.Commits() {
		if c.Partition != -1 || len(c.Results) != 1 || i < 2 && len(c.Wallets) != 1 {
			t.Errorf("announced %+v", c)
		}
	}
	w.clean()
}

// Operations per second must not fall to nothing in a panel because Kafka is away.
func TestOperationsAreCountedOnBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, 1)
		registry := prometheus.NewRegistry()
		id, r := w.created(), w.owning(func(_ *replica, c *applier.Config) { c.Registerer = registry })
		journaled := deposit(id, 5)
		w.append(journaled)
		r.outcome(journaled)
		r.mustDirect(deposit(id, 5))
		r.mustDirect(withdraw(id, 11))
		if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP walletd_direct_batches_total Batches of the direct way, by result.
# TYPE walletd_direct_batches_total counter
walletd_direct_batches_total{result="committed"} 2
walletd_direct_batches_total{result="failed"} 0
# HELP walletd_operations_total Operations decided, by outcome, on either way.
# TYPE walletd_operations_total counter
walletd_operations_total{outcome="applied"} 2
walletd_operations_total{outcome="failed"} 1
`), "walletd_operations_total", "walletd_direct_batches_total"); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatQueuesForTheDirectWayIsOneBatch(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	g := newGate()
	r, id := w.replica(g.option()), w.created()
	var calls sync.WaitGroup
	calls.Go(func() { r.mustDirect(deposit(id, 1)) })
	wait(t, "the first is at its commit", g.reached)
	const queued = 40
	entered := make(chan struct{}, queued)
	for range queued {
		calls.Go(func() { entered <- struct{}{}; r.mustDirect(deposit(id, 1)) })
	}
	for range queued {
		<-entered
	}
	close(g.open)
	calls.Wait()
	// Some may have been on their way into the queue when the gate was opened.
	if n := g.commits.Load(); n > queued/2 {
		t.Errorf("%d commits for %d operations", n, queued+1)
	}
	if b := w.books(); b.Wallets[id] != (wallet.State{Balance: queued + 1, Sequence: queued + 1}) {
		t.Errorf("%+v", b.Wallets[id])
	}
	w.clean()
}

// A wallet whose creation another replica has journaled can be used at once, also if
// Kafka dies before the creation is applied. Its record comes by later.
func TestTheDirectWayMakesAWalletThatIsKnownToExist(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	id := uuid.New()
	w.log.Append(create(id))
	r := w.replica()
	r.NoteExists(id) // Redis says so
	first, second := deposit(id, 5), withdraw(id, 2)
	wantOutcome(t, r.mustDirect(first), wallet.Applied, wallet.NoReason, 1, 5)
	wantOutcome(t, r.mustDirect(second), wallet.Applied, wallet.NoReason, 2, 3)
	r.journal.Own(0)
	wantHistory(t, w.settle(), id, first, second)
}

// Invariant 3: a WITHDRAW that goes directly follows the DEPOSIT whose 202 was given.
func TestTheDirectWayAppliesEarlierAcknowledgedOperationsFirst(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	r, id := w.replica(), uuid.New()
	if _, err := r.journal.Append(create(id)); err != nil {
		t.Fatal(err)
	}
	earlier := []wallet.Operation{deposit(id, 10), deposit(id, 20), withdraw(id, 5)}
	if _, err := r.journal.Write(earlier[0], earlier[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := r.journal.Write(earlier[2]); err != nil {
		t.Fatal(err)
	}
	if !r.KnowsWallet(id) {
		t.Error("a wallet with an acknowledged creation is not known")
	}
	now := withdraw(id, 25)
	wantOutcome(t, r.mustDirect(now), wallet.Applied, wallet.NoReason, 4, 0)
	wantHistory(t, w.books(), id, append(earlier, now)...)
	for _, op := range earlier {
		r.outcome(op)
	}
	// They are settled: the next direct operation brings only itself.
	r.mustDirect(deposit(id, 1))
	if commits := r.told.Commits(); len(commits[len(commits)-1].Results) != 1 {
		t.Errorf("announced %+v", commits[len(commits)-1].Results)
	}
	// The owner then meets their records: duplicates.
	w.owning()
	w.settle()
}

func TestTooManyEarlierOperationsAreRefusedUntilTheLedgerHasPassedThem(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	r := w.replica(withLimits(func(l *applier.Limits) { l.UnsettledPerWallet = 3 }))
	id, other := w.created(), w.created()
	var earlier []wallet.Operation
	for i := range 5 {
		earlier = append(earlier, deposit(id, wallet.Amount(i+1)))
		if _, err := r.journal.Write(earlier[i]); err != nil {
			t.Fatal(err)
		}
	}
	late := deposit(id, 100)
	var refused *wallet.Error
	if _, err := r.Direct(testContext(t), late); !errors.As(err, &refused) || refused.Code != wallet.CodeUnavailable || refused.Fate != wallet.NotApplied {
		t.Fatalf("%v", err)
	}
	wantOutcome(t, r.mustDirect(deposit(other, 1)), wallet.Applied, wallet.NoReason, 1, 1)
	owner := w.owning()
	owner.outcome(earlier[4])
	if _, err := r.Reconcile(testContext(t), w.books().Offsets); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, r.mustDirect(late), wallet.Applied, wallet.NoReason, 6, 115)
	wantHistory(t, w.settle(), id, append(earlier, late)...)
}

func TestALateJournalRecordOfADirectOperationIsADuplicate(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	r, id := w.owning(), w.created()
	warm := deposit(id, 1)
	w.append(warm)
	r.outcome(warm)
	op := deposit(id, 5)
	done := r.mustDirect(op)
	w.append(op)
	after := deposit(id, 2)
	w.append(after)
	wantOutcome(t, r.outcome(after), wallet.Applied, wallet.NoReason, 3, 8)
	if again := r.outcome(op); again.Origin != wallet.Direct || again.Sequence != done.Sequence {
		t.Errorf("%+v, then %+v", done, again)
	}
	wantHistory(t, w.settle(), id, warm, op, after)
}

func TestADirectRepeatGetsTheFirstOnesOutcome(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	r, id := w.replica(), w.created()
	op := deposit(id, 5)
	first := r.mustDirect(op)
	reused := op
	reused.Amount = 6
	for _, repeat := range []wallet.Operation{op, reused} {
		if done := r.mustDirect(repeat); done.Sequence != first.Sequence || done.Amount != 5 {
			t.Errorf("%+v, want %+v", done, first)
		}
	}
	wantHistory(t, w.books(), id, op)
}

func TestReplicasThatGoDirectAtOnceShareAHotWallet(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	id := w.created()
	var calls sync.WaitGroup
	const each = 150
	for range 3 {
		r := w.replica()
		for range each {
			calls.Go(func() { r.mustDirect(deposit(id, 1)) })
		}
	}
	calls.Wait()
	if b := w.books(); b.Wallets[id] != (wallet.State{Balance: 3 * each, Sequence: 3 * each}) {
		t.Errorf("%+v", b.Wallets[id])
	}
	w.clean()
}

// Invariant 4, on the direct way; who is told an outcome finds it in the balance.
func TestAnOperationThatSQLRefusesFailsAloneOnTheDirectWay(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	g := newGate()
	r, id := w.replica(g.option()), w.created()
	db.exec(t, `ALTER TABLE operations ADD CONSTRAINT unlucky CHECK (amount <> 13)`)
	var calls sync.WaitGroup
	calls.Go(func() { r.mustDirect(deposit(id, 1)) })
	wait(t, "the first is at its commit", g.reached)
	for _, amount := range []wallet.Amount{2, 13, 3} {
		op := deposit(id, amount)
		calls.Go(func() {
			done, err := r.tryDirect(context.Background(), op)
			if amount == 13 && !errors.Is(err, wallet.ErrRefused) || amount != 13 && (err != nil || done.Status != wallet.Applied) {
				t.Errorf("%d: %+v, %v", amount, done, err)
			}
		})
	}
	close(g.open)
	calls.Wait()
	var newest wallet.State
	for _, c := range r.told.Commits() {
		for _, told := range c.Wallets {
			if told.Sequence > newest.Sequence {
				newest = told.State
			}
		}
	}
	if b := w.books(); b.Wallets[id] != (wallet.State{Balance: 6, Sequence: 3}) || newest != b.Wallets[id] {
		t.Errorf("%+v, announced %+v", b.Wallets[id], newest)
	}
	w.clean()
}

func TestADirectOperationOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	g := newGate()
	r, id := w.replica(g.option()), w.created()
	ctx, leave := context.WithCancel(context.Background())
	op := deposit(id, 5)
	result := make(chan error, 1)
	go func() { _, err := r.tryDirect(ctx, op); result <- err }()
	wait(t, "the first is at its commit", g.reached)
	leave()
	if err := <-result; !errors.Is(err, wallet.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	close(g.open)
	r.outcome(op)
	wantHistory(t, w.books(), id, op)
}

func TestADirectOperationWaitsForAHeldRow(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	refusals := make(chan struct{}, 1000)
	r, id := w.replica(withFaults(func(c simtest.Call) simtest.Fault {
		if c.Method == "Commit" {
			refusals <- struct{}{}
		}
		return simtest.None
	})), w.created()
	release := db.hold(t, id)
	op := deposit(id, 5)
	var calls sync.WaitGroup
	calls.Go(func() { wantOutcome(t, r.mustDirect(op), wallet.Applied, wallet.NoReason, 1, 5) })
	wait(t, "it is tried", refusals)
	wait(t, "it was refused and is tried again", refusals)
	release()
	calls.Wait()
	wantHistory(t, w.books(), id, op)
}

func TestEveryDirectOperationGetsABackfillRecordOnceTheJournalIsBack(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 2)
	r := w.replica(withLimits(func(l *applier.Limits) { l.Backfills = 3 }))
	refused := make(chan struct{}, 1)
	r.journal.Refuse(func(wallet.Record) error {
		select {
		case refused <- struct{}{}:
		default:
		}
		return wallet.ErrUnacknowledged
	})
	r.journal.Own(0)
	r.journal.Own(1)
	ids := []uuid.UUID{{14: 1, 15: 0}, {14: 1, 15: 1}}
	for _, id := range ids {
		w.log.Append(create(id))
		for i := range 4 {
			r.mustDirect(deposit(id, wallet.Amount(i+1)))
		}
	}
	r.mustDirect(deposit(uuid.New(), 1)) // of no wallet: it was received all the same
	wait(t, "the journal refuses a backfill record", refused)
	r.journal.Refuse(nil)
	eventually(t, "all are in the journal", func() bool {
		left, err := w.ledger.Unjournaled(testContext(t), uuid.Nil, 100)
		return err == nil && len(left) == 0
	})
	w.settle()
	for _, fault := range w.audit(true) {
		t.Error(fault)
	}
}

// Many wallets that go the direct way leave connections to the workers, and wait for each
// other instead of failing.
func TestFewDirectCommitsAreUnderWayAtATime(t *testing.T) {
	t.Parallel()
	const wallets, most, chances = 40, 3, 10_000
	w := newMemoryWorld(t, 1)
	arrived, open := make(chan struct{}, wallets), make(chan struct{})
	ids := make([]uuid.UUID, wallets)
	for i := range ids {
		ids[i] = w.created()
	}
	r := w.replica(withLimits(func(l *applier.Limits) { l.DirectCommits = most }), withFaults(func(c simtest.Call) simtest.Fault {
		if c.Method == "Commit" {
			arrived <- struct{}{}
			<-open
		}
		return simtest.None
	}))
	var calls sync.WaitGroup
	for _, id := range ids {
		calls.Go(func() { r.mustDirect(deposit(id, 1)) })
	}
	eventually(t, "as many are under way as may be", func() bool { return len(arrived) >= most })
	for range chances {
		runtime.Gosched()
	}
	if n := len(arrived); n != most {
		t.Errorf("%d at a time", n)
	}
	close(open)
	calls.Wait()
}
