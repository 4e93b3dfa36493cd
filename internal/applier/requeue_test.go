package applier_test

import (
	"context"
	"errors"
	"strings"
	"sync"
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

// never keeps copies from coming by themselves: the test writes them.
var never = withLimits(func(l *applier.Limits) { l.MinRequeueDelay, l.MaxRequeueDelay = time.Hour, time.Hour })

// copyOf is the copy that requeueing puts back into the journal.
func copyOf(op wallet.Operation, attempt int) wallet.Record {
	rec := simtest.Record(uuid.Nil, op)
	rec.Attempt = attempt
	return rec
}

// setAside gets a wallet's operations onto its list, by holding its row.
func (w *world) setAside(db *database, id uuid.UUID, ops ...wallet.Operation) (release func()) {
	w.t.Helper()
	release = db.hold(w.t, id)
	for _, op := range ops {
		w.append(op)
	}
	w.await("the list is written", func(b simtest.Books) bool { return len(b.Entries[id]) == len(ops) })
	return release
}

// Invariant 4, and 3 for the wallet that is set aside.
func TestAHeldRowSetsItsWalletAsideAndTheOthersGoOnWithinASecond(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	held, free := w.created(), w.created()
	r := w.owning()
	warm := []wallet.Operation{deposit(held, 1), deposit(free, 1)}
	w.append(warm[0])
	w.append(warm[1])
	r.outcome(warm[1])

	release := db.hold(t, held)
	waiting := []wallet.Operation{deposit(held, 2), withdraw(held, 3), deposit(held, 4), withdraw(held, 5)}
	beside := deposit(free, 9)
	began := time.Now()
	w.append(waiting[0])
	w.append(beside)
	w.append(waiting[1])
	wantOutcome(t, r.outcome(beside), wallet.Applied, wallet.NoReason, 2, 10)
	if took := time.Since(began); took > time.Second {
		t.Errorf("a neighbour waited %s", took)
	}
	// While it has a list, later records join it untried: nobody waits for the row again.
	w.append(waiting[2], waiting[3])
	after := deposit(free, 1)
	w.append(after)
	r.outcome(after)
	w.await("all join the list", func(b simtest.Books) bool { return len(b.Entries[held]) == 4 })
	w.clean()
	release()
	for _, op := range waiting {
		r.outcome(op)
	}
	b := w.settle()
	wantHistory(t, b, held, append(warm[:1:1], waiting...)...)
	if b.Wallets[held].Balance != 4 { // 1 + 2 − 3 + 4, and 5 too many
		t.Errorf("balance %d", b.Wallets[held].Balance)
	}
}

func TestAListOutlivesARestart(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id := w.created()
	first := w.owning()
	ops := []wallet.Operation{deposit(id, 2), withdraw(id, 1)}
	release := w.setAside(db, id, ops...)
	first.close()
	joined := deposit(id, 7)
	w.append(joined)
	second := w.owning()
	w.await("a later record joins after the restart", func(b simtest.Books) bool { return len(b.Entries[id]) == 3 })
	second.close()
	release()
	third := w.owning()
	third.outcome(joined)
	wantHistory(t, w.settle(), id, append(ops, joined)...)
}

// Who set a wallet aside had a clock that was ahead: the next owner does not wait for it.
func TestAClockThatWasAheadHoldsNoWalletBack(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id := w.created()
	first := w.owning(func(_ *replica, c *applier.Config) { c.Now = func() time.Time { return time.Now().Add(time.Hour) } })
	ops := []wallet.Operation{deposit(id, 2), withdraw(id, 1)}
	release := w.setAside(db, id, ops...)
	first.close()
	release()
	second := w.owning()
	second.outcome(ops[1])
	wantHistory(t, w.settle(), id, ops...)
}

func TestOnlyACopyAppliesTheListAndASecondOneDoesNoHarm(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id := w.created()
	r := w.owning(never)
	ops := []wallet.Operation{deposit(id, 2), withdraw(id, 1), deposit(id, 4)}
	w.setAside(db, id, ops...)()
	w.append(ops[0]) // a late duplicate of the first is no copy: it joins
	w.await("the duplicate joins", func(b simtest.Books) bool { return len(b.Entries[id]) == 4 })
	w.log.Append(copyOf(ops[0], 1))
	w.log.Append(copyOf(ops[0], 1))
	r.outcome(ops[2])
	w.log.Append(copyOf(ops[0], 2)) // of another owner's, later still
	last := deposit(id, 8)
	w.append(last)
	r.outcome(last)
	wantHistory(t, w.settle(), id, append(ops, last)...)
}

func TestAStaleCopyIsPassedUntried(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id := w.created()
	r := w.owning(never)
	op := deposit(id, 2)
	release := w.setAside(db, id, op)
	w.log.Append(copyOf(op, 3)) // refused: the list now has attempt 3
	next := w.log.End(0)
	w.await("the refused copy is passed", func(b simtest.Books) bool { return b.Offsets[0] == next })
	release()
	for attempt := 1; attempt <= 3; attempt++ {
		w.log.Append(copyOf(op, attempt))
	}
	beside := deposit(w.created(), 1)
	w.append(beside)
	r.outcome(beside)
	w.await("stale copies are passed", func(b simtest.Books) bool { return b.Offsets[0] == w.log.End(0) })
	if b := w.books(); len(b.Entries[id]) != 1 || b.Wallets[id].Sequence != 0 {
		t.Fatalf("a stale copy applied the list: %+v", b.Entries[id])
	}
	w.log.Append(copyOf(op, 4))
	r.outcome(op)
	wantHistory(t, w.settle(), id, op)
}

func TestALongListIsAppliedByAsManyCopiesAsItTakes(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id := w.created()
	r := w.owning(withLimits(func(l *applier.Limits) {
		l.ListPerCopy, l.MinRequeueDelay, l.MaxRequeueDelay = 3, 5*time.Second, 5*time.Second
	}))
	var ops []wallet.Operation
	for i := range 10 {
		ops = append(ops, deposit(id, wallet.Amount(i+1)))
	}
	w.setAside(db, id, ops...)()
	r.outcome(ops[9])
	for _, c := range r.told.Commits() {
		if len(c.Results) > 3 {
			t.Errorf("one copy applied %d operations", len(c.Results))
		}
	}
	wantHistory(t, w.settle(), id, ops...)
	for _, rec := range w.log.Records(0) {
		if rec.Attempt > 4 {
			t.Errorf("a copy has attempt %d; four were needed", rec.Attempt)
		}
	}
}

func TestAListLeavesOutWhatTheDirectWayHasAppliedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, direct := range map[string]int{"the first": 0, "one in the middle": 1, "the last": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, db := newWorld(t, 1)
			id := w.created()
			r := w.owning(never)
			ops := []wallet.Operation{deposit(id, 2), deposit(id, 3), deposit(id, 4)}
			w.setAside(db, id, ops...)()
			other := w.replica()
			wantOutcome(t, other.mustDirect(ops[direct]), wallet.Applied, wallet.NoReason, 1, ops[direct].Amount)
			w.log.Append(copyOf(ops[0], 1))
			want := []wallet.Operation{ops[direct]}
			for i, op := range ops {
				r.outcome(op)
				if i != direct {
					want = append(want, op)
				}
			}
			wantHistory(t, w.settle(), id, want...)
		})
	}
}

// A refusal by SQL that nothing explains is pinned on its wallet by bisecting.
func TestAnSQLRefusalIsPinnedOnItsWallet(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	var ids []uuid.UUID
	for range 8 {
		ids = append(ids, w.created())
	}
	db.exec(t, `ALTER TABLE operations ADD CONSTRAINT unlucky CHECK (amount <> 13)`)
	var beside []wallet.Operation
	offender := deposit(ids[5], 13)
	for i := range 40 {
		op := deposit(ids[i%8], 1)
		if i == 21 {
			op = offender
		}
		w.append(op)
		if op.WalletID != ids[5] {
			beside = append(beside, op)
		}
	}
	registry := prometheus.NewRegistry()
	r := w.owning(func(_ *replica, c *applier.Config) { c.Registerer, c.Limits.Attempts = registry, 2 })
	for _, op := range beside {
		if done := r.outcome(op); done.Status != wallet.Applied {
			t.Errorf("%+v", done)
		}
	}
	b := w.books()
	if len(b.Entries) != 1 || len(b.Entries[ids[5]]) != 3 {
		t.Errorf("%d wallets are set aside, the offender's list: %+v", len(b.Entries), b.Entries[ids[5]])
	}
	eventually(t, "the list alarms", func() bool { return testutil.ToFloat64(alarms{registry}) > 0 })
	db.exec(t, `ALTER TABLE operations DROP CONSTRAINT unlucky`)
	wantOutcome(t, r.outcome(offender), wallet.Applied, wallet.NoReason, 3, 15)
	w.settle()
}

// alarms is the one metric of a registry that counts them.
type alarms struct{ *prometheus.Registry }

func (a alarms) Describe(chan<- *prometheus.Desc) {}

func (a alarms) Collect(ch chan<- prometheus.Metric) {
	families, err := a.Gather()
	if err != nil {
		panic(err)
	}
	for _, f := range families {
		if f.GetName() == "walletd_requeue_alarms_total" {
			ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(f.GetName(), "", nil, nil), prometheus.CounterValue, f.GetMetric()[0].GetCounter().GetValue())
		}
	}
}

func TestARequeuedCreationIsAppliedWithWhatFollowsIt(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id := uuid.New()
	db.exec(t, `ALTER TABLE wallets ADD CONSTRAINT unlucky CHECK (id <> '`+id.String()+`')`)
	w.log.Append(create(id))
	op := deposit(id, 3)
	w.append(op)
	r := w.owning()
	w.await("both are on the list", func(b simtest.Books) bool { return len(b.Entries[id]) == 2 })
	w.clean()
	db.exec(t, `ALTER TABLE wallets DROP CONSTRAINT unlucky`)
	wantOutcome(t, r.outcome(op), wallet.Applied, wallet.NoReason, 1, 3)
	wantHistory(t, w.settle(), id, op)
}

// A list whose copy is on its way stays due, and must not be copied again each round:
// a partition that is behind would be given ever more to do.
func TestAListIsNotCopiedAgainWhileItsCopyIsOnItsWay(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id := w.created()
	op := deposit(id, 1)
	var looks atomic.Int64
	behind := make(chan struct{})
	w.owning(withFaults(func(c simtest.Call) simtest.Fault {
		switch {
		case c.Method == "Due":
			looks.Add(1)
		case c.Method == "Commit" && c.Batch.Fence.From == 1: // the copy's
			<-behind
		}
		return simtest.None
	}))
	catchUp := sync.OnceFunc(func() { close(behind) })
	t.Cleanup(catchUp)
	w.setAside(db, id, op)()
	eventually(t, "it is copied", func() bool { return len(w.log.Records(0)) >= 2 })
	seen := looks.Load()
	eventually(t, "the keeper has looked ten times more", func() bool { return looks.Load() > seen+10 })
	if n := len(w.log.Records(0)); n != 2 {
		t.Errorf("%d copies of one list are on their way", n-1)
	}
	catchUp()
	wantHistory(t, w.settle(), id, op)
}

// halfDue is a ledger that cannot read all lists that are due.
type halfDue struct{ applier.Ledger }

func (l halfDue) Due(ctx context.Context, partition int32, at time.Time, most time.Duration, limit int) ([]wallet.ListHead, error) {
	due, err := l.Ledger.Due(ctx, partition, at, most, limit)
	return due, errors.Join(err, wallet.ErrRefused)
}

func TestAListThatCannotBeReadHoldsNoOtherBack(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id := w.created()
	r := w.owning(func(_ *replica, c *applier.Config) { c.Ledger = halfDue{c.Ledger} })
	op := deposit(id, 1)
	w.setAside(db, id, op)()
	r.outcome(op)
	wantHistory(t, w.settle(), id, op)
}

// What PostgreSQL says may be of any length, in any language.
func TestAReasonThatIsCutInsideACharacterHoldsNobodyUp(t *testing.T) {
	w, db := newWorld(t, 1)
	refused, other := w.created(), w.created()
	db.exec(t, `CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.amount = 13 THEN RAISE EXCEPTION 'x`+strings.Repeat("ä", 400)+`'; END IF; RETURN NEW; END $$`)
	db.exec(t, `CREATE TRIGGER no BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION no()`)
	behind := deposit(other, 1)
	w.append(deposit(refused, 13))
	w.append(behind)
	wantOutcome(t, w.owning().outcome(behind), wallet.Applied, wallet.NoReason, 1, 1)
}
