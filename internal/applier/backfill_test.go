package applier_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

func backfill(ops ...wallet.Operation) wallet.Record {
	rec := simtest.Record(uuid.Nil, ops...)
	rec.Kind, rec.Replica = wallet.KindBackfill, uuid.Nil
	return rec
}

// lost are direct operations that a restored ledger lacks, as their backfill says.
func (w *world) lost(ops ...wallet.Operation) []wallet.Operation {
	for i := range ops {
		ops[i].Origin, ops[i].Status, ops[i].Sequence, ops[i].BalanceAfter = wallet.Direct, wallet.Applied, int64(40+i), 99
		w.direct[ops[i].Key()] = true
	}
	return ops
}

func TestABackfillRecordOfWhatTheLedgerHasChangesNothing(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	id := w.created()
	r := w.replica()
	done, op := r.mustDirect(deposit(id, 77)), deposit(id, 5)
	w.log.Append(backfill(done))
	w.append(op)
	w.log.Append(backfill(done))
	r.journal.Own(0)
	wantHistory(t, w.settle(), id, done, op)
}

// Only a ledger that was restored can lack it. What was promised is applied then,
// once, in its own transaction of the journal, and noted for no second record.
func TestABackfillRecordOfWhatTheLedgerLacksIsApplied(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	id := w.created()
	ops, op := w.lost(deposit(id, 7), withdraw(id, 2)), withdraw(id, 5)
	w.log.Append(backfill(ops...))
	w.append(op)
	w.log.Append(backfill(ops...))
	w.owning()
	w.owning() // a zombie does the same
	b := w.settle()
	wantHistory(t, b, id, ops[0], ops[1], op)
	if got := history(b, id); got[0].Origin != wallet.Direct || got[1].Origin != wallet.Direct || got[2].Origin != wallet.FromJournal || got[1].BalanceAfter != 5 {
		t.Errorf("%+v", got)
	}
	if left, err := w.ledger.Unjournaled(testContext(t), uuid.Nil, 10); err != nil || len(left) > 0 {
		t.Errorf("%d wait for a second backfill record, %v", len(left), err)
	}
}

// A wallet that is set aside has what is backfilled in its list too, in order.
func TestABackfillRecordOfAWalletThatIsSetAsideJoinsItsList(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id := w.created()
	first, ops, last := deposit(id, 1), w.lost(deposit(id, 7)), withdraw(id, 8)
	release := db.hold(t, id)
	w.append(first)
	w.owning(withLimits(func(l *applier.Limits) { l.MinRequeueDelay = 100 * time.Millisecond }))
	w.await("the wallet is set aside", func(b simtest.Books) bool { return len(b.Entries[id]) > 0 })
	w.log.Append(backfill(ops...))
	w.append(last)
	w.await("all of it waits", func(b simtest.Books) bool { return len(b.Entries[id]) == 3 })
	release()
	b := w.settle()
	wantHistory(t, b, id, first, ops[0], last)
	if got := history(b, id); got[1].Origin != wallet.Direct || got[2].Status != wallet.Applied {
		t.Errorf("%+v", got)
	}
}

func TestAWalletThatWasMadeWithoutARecordGetsOneBeforeItsOperations(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id := db.unrecorded(t)
	r := w.replica()
	r.mustDirect(deposit(id, 5))
	r.journal.Own(0)
	w.backfilled()
	records := w.log.Records(0)
	if len(records) != 2 || records[0].Kind != wallet.KindCreate || records[0].WalletID != id || records[1].Kind != wallet.KindBackfill {
		t.Errorf("%+v", records)
	}
	w.settle()
}

// A copy applies its list also when the ledger has its own id by now, whatever kind
// of record it is a copy of: else the wallet would stay set aside for ever.
func TestACopyOfABackfilledOperationThatTheLedgerHasByNowAppliesItsList(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id := w.created()
	ops, joined := w.lost(deposit(id, 7)), deposit(id, 8)
	release := db.hold(t, id)
	w.log.Append(backfill(ops...))
	r := w.owning(never)
	w.await("the wallet is set aside", func(b simtest.Books) bool { return len(b.Entries[id]) == 1 })
	release()
	r.mustDirect(ops[0]) // its client has asked again
	w.append(joined)
	w.await("what comes later joins", func(b simtest.Books) bool { return len(b.Entries[id]) == 2 })
	again := backfill(ops...)
	again.Attempt = 1
	w.log.Append(again)
	wantHistory(t, w.settle(), id, ops[0], joined)
}

// rounds keeps what is appended together.
type rounds struct {
	applier.Journal
	mu  sync.Mutex
	all [][]wallet.Record
}

func (r *rounds) Append(records ...wallet.Record) ([]wallet.Receipt, error) {
	r.mu.Lock()
	r.all = append(r.all, slices.Clone(records))
	r.mu.Unlock()
	return r.Journal.Append(records...)
}

func (r *rounds) seen() [][]wallet.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// unrecorded is a wallet that somebody has inserted, with no create record.
func (d *database) unrecorded(t testing.TB) uuid.UUID {
	t.Helper()
	id := uuid.New()
	d.exec(t, "INSERT INTO wallets VALUES ($1, 0, 0, now(), now())", id)
	return id
}

// backfilled waits until nothing lacks its record.
func (w *world) backfilled() {
	w.t.Helper()
	eventually(w.t, "nothing is to be written", func() bool {
		left, err := w.ledger.Unjournaled(testContext(w.t), uuid.Nil, 10)
		return err == nil && len(left) == 0
	})
}

// A round's creations are written together and then its operations: were they
// written one by one, each would wait for the broker.
func TestARoundsBackfillRecordsAreWrittenTogether(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 4)
	var written rounds
	r := w.replica(func(_ *replica, c *applier.Config) { written.Journal, c.Journal = c.Journal, &written })
	const wallets = 7
	for range wallets {
		id := db.unrecorded(t)
		r.mustDirect(deposit(id, 5))
		r.mustDirect(withdraw(id, 2))
	}
	r.journal.Own(0)
	w.backfilled()
	all := written.seen()
	if len(all) != 2 || len(all[0]) != wallets || len(all[1]) != wallets {
		t.Fatalf("%d rounds: %+v", len(all), all)
	}
	for _, rec := range all[0] {
		if rec.Kind != wallet.KindCreate {
			t.Errorf("%+v is among the creations", rec)
		}
	}
	for _, rec := range all[1] {
		if rec.Kind != wallet.KindBackfill || len(rec.Operations) != 2 || rec.Operations[0].Sequence != 1 {
			t.Errorf("%+v is among the backfills", rec)
		}
	}
	for p := 1; p < w.log.Partitions(); p++ {
		r.journal.Own(int32(p))
	}
	w.settle()
}

// A wallet whose creation is not acknowledged has its operations wait, for a ledger
// that is restored from the journal could not apply them; other wallets do not wait.
func TestOperationsAreNotBackfilledBeforeTheirWalletsCreation(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	stuck, other := db.unrecorded(t), db.unrecorded(t)
	r := w.replica()
	r.mustDirect(deposit(stuck, 5))
	r.mustDirect(deposit(other, 5))
	r.journal.Refuse(func(rec wallet.Record) error {
		if rec.Kind == wallet.KindCreate && rec.WalletID == stuck {
			return wallet.ErrUnacknowledged
		}
		return nil
	})
	r.journal.Own(0)
	eventually(t, "the other wallet's are noted", func() bool {
		left, err := w.ledger.Unjournaled(testContext(t), uuid.Nil, 10)
		return err == nil && !slices.ContainsFunc(left, func(k wallet.Key) bool { return k.WalletID == other })
	})
	for _, rec := range w.log.Records(0) {
		if rec.WalletID == stuck {
			t.Errorf("%+v is in the journal", rec)
		}
	}
	r.journal.Refuse(nil)
	w.backfilled()
	if n := len(w.log.Records(0)); n != 4 {
		t.Errorf("%d records, a creation and a backfill of each wallet are 4", n)
	}
	w.settle()
}

// Wallets whose partition acknowledges nothing come first, and are as many as a
// round takes: the others do not wait for them, and they are written when they can.
func TestWhatIsNotAcknowledgedHoldsUpNoOtherWalletsBackfill(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	ids := make([]uuid.UUID, 7)
	for i := range ids {
		ids[i] = db.unrecorded(t)
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	stuck := ids[:3]
	r := w.replica(withLimits(func(l *applier.Limits) { l.Backfills = 2 }))
	r.journal.Refuse(func(rec wallet.Record) error {
		if slices.Contains(stuck, rec.WalletID) {
			return wallet.ErrUnacknowledged
		}
		return nil
	})
	r.journal.Own(0)
	eventually(t, "all others are noted", func() bool {
		left, err := w.ledger.Unjournaled(testContext(t), uuid.Nil, 10)
		return err == nil && len(left) == len(stuck)
	})
	r.journal.Refuse(nil)
	w.backfilled()
	if n := len(w.log.Records(0)); n != len(ids) {
		t.Errorf("%d records for %d wallets", n, len(ids))
	}
	w.settle()
}

// One that was not acknowledged once gets its turn again, also while others come without
// end, each as the one before is written.
func TestThoseThatComeWithoutEndHoldNoWalletsBackfillUp(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	unlucky, refused, come := uuid.UUID{15: 1}, false, byte(0)
	insert := func(id uuid.UUID) {
		if _, err := db.conn.Exec(testContext(t), "INSERT INTO wallets VALUES ($1, 0, 0, now(), now())", id); err != nil {
			t.Error(err)
		}
	}
	insert(unlucky)
	insert(uuid.UUID{1, 15: 1})
	r := w.replica(withLimits(func(l *applier.Limits) { l.Backfills = 2 }))
	accepted := make(chan struct{})
	r.journal.Refuse(func(rec wallet.Record) error {
		switch {
		case rec.WalletID != unlucky:
			if come++; come < 100 {
				insert(uuid.UUID{1, come, 15: 1})
			}
		case !refused:
			refused = true
			return wallet.ErrUnacknowledged
		case come >= 100:
			t.Error("it came after all others")
			fallthrough
		default:
			close(accepted)
		}
		return nil
	})
	r.journal.Own(0)
	wait(t, "it is written", accepted)
	w.backfilled()
	w.settle()
}

// What the journal has and the ledger takes no note of is not written again each round.
func TestWhatTheLedgerTakesNoNoteOfIsBackfilledOnce(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, 1)
	id := w.created()
	var notes atomic.Int32
	r := w.replica(withFaults(func(c simtest.Call) simtest.Fault {
		if c.Method == "Journaled" && notes.Add(1) <= 5 {
			return simtest.CutOff
		}
		return simtest.None
	}))
	r.mustDirect(deposit(id, 5))
	r.journal.Own(0)
	w.backfilled()
	if n := len(w.log.Records(0)); n != 1 || notes.Load() != 6 {
		t.Errorf("%d records, after %d notes", n, notes.Load())
	}
	w.settle()
}
