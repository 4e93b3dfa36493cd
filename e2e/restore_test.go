package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/audit"
)

// The drill of docs/operations.md: a base backup under load, a point in time, more
// operations, also of new wallets; the ledger is lost and restored to that point; walletd
// replays the journal, and everything is as it was.
func TestRestoreDrill(t *testing.T) {
	a := newArchived(t)
	a.add(2)
	for _, r := range a.replicas {
		r.ready()
	}
	ids := a.wallets(6)
	l := a.start(load{wallets: ids, rate: 150})
	elapse(time.Second)
	a.backUp()
	elapse(500 * time.Millisecond)
	a.mark("before")
	lost := a.wallets(4) // made after it
	l2 := a.start(load{wallets: lost, rate: 100})
	keyed := expect(t, a.replicas[0].do(http.MethodPost, "/api/v1/wallet/create", nil, "Idempotency-Key", a.topic), http.StatusCreated)
	named := uuid.MustParse(keyed.doc.WalletID)
	told := expect(t, a.replicas[1].submit(named, deposit, 70, "Idempotency-Key", "once"), 200)
	elapse(time.Second)
	sends := append(l.stop(), l2.stop()...)
	only(t, sends, 200, 202, 422)
	ids = append(append(ids, lost...), named)
	a.auditAll(sends, ids...)
	before, count := a.histories(ids), a.count("SELECT count(*) FROM operations")
	a.archiveAll()

	a.lose("before")
	wallets, left := a.count("SELECT count(*) FROM wallets"), a.count("SELECT count(*) FROM operations")
	t.Logf("restored: %d of %d wallets, %d of %d operations", wallets, len(ids), left, count)
	if wallets != 6 || left == 0 || left >= count {
		t.Fatal("the restored ledger lacks nothing, or too much")
	}
	a.add(1)
	a.replicas[0].ready()
	a.drained()
	a.unchanged(before)
	a.clean()
	again := expect(t, a.replicas[0].submit(named, deposit, 70, "Idempotency-Key", "once"), 200)
	if again.header.Get("Idempotency-Replayed") != "true" || !same(*again.doc.Operation, *told.doc.Operation) {
		t.Errorf("a repeat is answered %v, was %v", again, told)
	}
	made := expect(t, a.replicas[0].do(http.MethodPost, "/api/v1/wallet/create", nil, "Idempotency-Key", a.topic), http.StatusCreated)
	if made.header.Get("Idempotency-Replayed") != "true" || made.doc.WalletID != keyed.doc.WalletID || value(made.doc.Balance) != 70 {
		t.Errorf("a create is answered %v, was %v", made, keyed)
	}
}

// Operations applied directly, while Kafka was away, are replayed where their backfill
// record stands, which is after what was journaled before it was written. Nothing is
// lost; whose place that changes is listed, and nothing else.
func TestRestoreDrillWithDirectOperations(t *testing.T) {
	a := newArchived(t)
	a.add(1)
	r := a.replicas[0]
	r.ready()
	moved, kept := a.wallet(), a.wallet()
	a.backUp()
	a.mark("before")
	expect(t, r.submit(moved, deposit, 100), 200)
	expect(t, r.submit(kept, deposit, 100), 200)

	a.kafkaWentAway = true
	a.kafka.Kill()
	back := false
	restart := func() {
		if back {
			return
		}
		back = true
		if err := a.kafka.Restart(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	defer restart()
	directly := func(id uuid.UUID, kind string, amount int64) *operation {
		t.Helper()
		op := expect(t, r.submit(id, kind, amount), 200).doc.Operation
		if op.Origin != "direct" {
			t.Fatalf("not direct: %s", show(*op))
		}
		return op
	}
	overtaken := []*operation{directly(moved, deposit, 50), directly(moved, withdraw, 120)}
	directly(kept, deposit, 50)
	made := expect(t, r.do(http.MethodPost, "/api/v1/wallet/create", nil), http.StatusCreated)
	fresh := uuid.MustParse(made.doc.WalletID)
	directly(fresh, deposit, 5)

	// Nobody can see what waits for its backfill, until this ends.
	conn := a.connect()
	tx := must[pgx.Tx](t)(conn.Begin(context.Background()))
	if _, err := tx.Exec(context.Background(), "LOCK TABLE unjournaled IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	restart()
	r.ready()
	eventually(t, "an operation is journaled again", func() bool {
		op := r.submit(moved, withdraw, 1).doc.Operation
		return op != nil && op.Origin == "journal"
	})
	if err := tx.Rollback(context.Background()); err != nil {
		t.Fatal(err)
	}
	a.drained()
	expect(t, r.submit(kept, withdraw, 20), 200)
	expect(t, r.submit(fresh, withdraw, 2), 200)
	a.drained()
	a.clean()
	before := a.histories([]uuid.UUID{moved, kept, fresh})
	a.archiveAll()

	a.lose("before")
	a.add(1)
	a.replicas[0].ready()
	a.drained()
	report := a.compared()
	var differ []string
	for _, f := range report.Findings {
		if f.Kind != audit.BackfillDiffer || *f.WalletID != moved || f.Sequence == nil || f.Offset == nil {
			t.Errorf("found %s", f)
		}
		differ = append(differ, f.OperationID.String())
	}
	after := a.histories([]uuid.UUID{moved, kept, fresh})
	var want []string
	for _, op := range overtaken {
		was, is := before[moved], after[moved]
		at := func(all []operation) operation {
			return all[slices.IndexFunc(all, func(o operation) bool { return o.OperationID == op.OperationID })]
		}
		if promised(at(was)) != promised(at(is)) {
			want = append(want, op.OperationID)
		}
	}
	t.Logf("%d of the direct operations have another outcome or place", len(want))
	if !slices.Equal(differ, want) {
		t.Errorf("differ: %s, want %s", differ, want)
	}
	for _, id := range []uuid.UUID{kept, fresh} {
		sameHistory(t, id, before[id], after[id])
	}
	if was, is := before[moved], after[moved]; len(was) != len(is) || value(was[len(was)-1].BalanceAfter) != value(is[len(is)-1].BalanceAfter) {
		t.Errorf("the wallet had %v, has %v", was, is)
	}
}

// histories are the wallets' operations.
func (s *stack) histories(ids []uuid.UUID) map[uuid.UUID][]operation {
	all := map[uuid.UUID][]operation{}
	for _, id := range ids {
		all[id] = s.replicas[0].history(s.t, id)
	}
	return all
}

// unchanged checks that every wallet's history and balance are what they were.
func (s *stack) unchanged(before map[uuid.UUID][]operation) {
	s.t.Helper()
	for id, was := range before {
		sameHistory(s.t, id, was, s.replicas[0].history(s.t, id))
		w := expect(s.t, s.replicas[0].get(walletPath(id)), 200)
		if n := len(was); n > 0 && (value(w.doc.Balance) != value(was[n-1].BalanceAfter) || value(w.doc.Sequence) != int64(n)) {
			s.t.Errorf("wallet %s: %v, had %s", id, w, show(was[n-1]))
		}
	}
}

// promised is what a client was told, but for the time of applying and the place in
// the journal, which of direct operations the backfill gave.
func promised(op operation) string {
	return fmt.Sprint(op.OperationID, value(op.Sequence), op.OperationType, op.Amount, op.Status, op.Reason, value(op.BalanceAfter))
}

// sameHistory compares outcomes, and origins: a direct operation's own record may
// have got into the journal after all, and is then replayed from there.
func sameHistory(t testing.TB, id uuid.UUID, was, is []operation) {
	t.Helper()
	same := func(x, y operation) bool {
		return promised(x) == promised(y) && (x.Origin == y.Origin || x.Origin == "direct")
	}
	if !slices.EqualFunc(was, is, same) {
		t.Errorf("wallet %s has %d operations, had %d, or they differ", id, len(is), len(was))
	}
}
