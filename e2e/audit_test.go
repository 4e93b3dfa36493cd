package e2e_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/wallet"
)

const maxBalance = 9_007_199_254_740_991

// history reads all operations of a wallet by cursor, oldest first.
func (r *replica) history(t testing.TB, id uuid.UUID) []operation {
	t.Helper()
	var all []operation
	for cursor := ""; ; {
		path := walletPath(id) + "/operations?limit=1000"
		if cursor != "" {
			path += "&cursor=" + cursor
		}
		a := expect(t, r.get(path), http.StatusOK)
		all = append(all, a.doc.Operations...)
		if cursor = a.doc.NextCursor; cursor == "" {
			slices.Reverse(all)
			return all
		}
	}
}

// audit proves a wallet's history: it recomputes every operation and finds every
// send in it, once if it was accepted, in the order that was promised.
func (s *stack) audit(id uuid.UUID, sends []*send) []operation {
	s.t.Helper()
	r := s.replicas[0]
	ops := r.history(s.t, id)
	balance, faults := int64(0), faults{t: s.t, wallet: id}
	place := make(map[string]*operation, len(ops))
	for i := range ops {
		op := &ops[i]
		if place[op.OperationID] != nil {
			faults.add("%s is there twice", op.OperationID)
		}
		place[op.OperationID] = op
		want := recompute(*op, &balance)
		if value(op.Sequence) != int64(i+1) || op.Status != want.Status || op.Reason != want.Reason || value(op.BalanceAfter) != balance {
			faults.add("operation %d of %d is %s, want %s %s, balance %d", i+1, len(ops), show(*op), want.Status, want.Reason, balance)
		}
	}
	for _, r := range s.replicas {
		w := expect(s.t, r.get(walletPath(id), "Cache-Control", "no-cache"), http.StatusOK)
		if value(w.doc.Balance) != balance || value(w.doc.Sequence) != int64(len(ops)) {
			faults.add("%s answers %s, want balance %d, sequence %d", r.name, w.body, balance, len(ops))
		}
	}
	s.cached(&faults, id, balance, int64(len(ops)))
	var mine []*send
	for _, x := range sends {
		if x.wallet == id {
			mine = append(mine, x)
		}
	}
	answers(&faults, mine, place)
	order(&faults, mine, place, s.kafkaWentAway)
	return ops
}

// cached checks what a plain read shows: the present balance, once what could not be
// put into Redis is repaired; unless who had to put it was killed.
func (s *stack) cached(f *faults, id uuid.UUID, balance, sequence int64) {
	s.t.Helper()
	if slices.ContainsFunc(s.replicas, func(r *replica) bool { return r.killed }) {
		return
	}
	for _, r := range s.replicas {
		var w answer
		if !within(5*time.Second, func() bool {
			w = r.get(walletPath(id))
			return w.code == 200 && value(w.doc.Balance) == balance && value(w.doc.Sequence) == sequence
		}) {
			f.add("%s answers a plain read with %v, want balance %d, sequence %d", r.name, w, balance, sequence)
		}
	}
}

// recompute decides op against the balance by rules of the test's own.
func recompute(op operation, balance *int64) operation {
	op.Status, op.Reason = "APPLIED", ""
	switch {
	case op.OperationType == withdraw && op.Amount > *balance:
		op.Status, op.Reason = "FAILED", "insufficient_funds"
	case op.OperationType == deposit && *balance > maxBalance-op.Amount:
		op.Status, op.Reason = "FAILED", "balance_overflow"
	case op.OperationType == withdraw:
		*balance -= op.Amount
	default:
		*balance += op.Amount
	}
	return op
}

// answers checks each send's answer against the history.
func answers(f *faults, sends []*send, place map[string]*operation) {
	expected := make(map[string]bool, len(sends))
	for _, x := range sends {
		expected[x.id()] = true
		op, told := place[x.id()], x.answer.doc.Operation
		accepted := x.answer.err == nil && (x.answer.code == 200 || x.answer.code == 202 || x.answer.code == 422)
		switch {
		case accepted && op == nil:
			f.add("lost: %s, answered %v by %s", x.id(), x.answer, x.by)
		case accepted && (told == nil || told.OperationID != x.id()):
			f.add("%s was answered with another operation: %v", x.id(), x.answer)
		case accepted && x.answer.code != 202 && !same(*told, *op):
			f.add("%s was told %s, the history has %s", x.id(), show(*told), show(*op))
		case op != nil && (op.Amount != x.amount || op.OperationType != x.kind):
			f.add("%s is not what was asked for: %s", x.id(), show(*op))
		case op != nil && x.repeats == 0 && told == nil && x.answer.doc.Outcome == "not_applied":
			f.add("%s was answered not_applied and is there: %v", x.id(), x.answer)
		}
	}
	for id, op := range place {
		// What a test sends one by one has no key, so an id that is not derived from one.
		if keyed := uuid.MustParse(id).Version() == 5; keyed && len(sends) > 0 && !expected[id] {
			f.add("never asked for: %s", show(*op))
		}
	}
}

func same(a, b operation) bool {
	return a.Status == b.Status && a.Reason == b.Reason && value(a.Sequence) == value(b.Sequence) &&
		value(a.BalanceAfter) == value(b.BalanceAfter) && a.Amount == b.Amount && a.OperationType == b.OperationType && a.Origin == b.Origin
}

// order checks that what was sent after another's answer comes after it. Whoever
// was told an outcome is never overtaken; who was answered 202 may be, while Kafka
// is away, by an operation that another replica has applied directly.
func order(f *faults, sends []*send, place map[string]*operation, kafkaWentAway bool) {
	type point struct {
		at  time.Time
		x   *send
		end bool
	}
	var points []point
	for _, x := range sends {
		if place[x.id()] == nil || x.answer.err != nil {
			continue
		}
		points = append(points, point{x.sent, x, false})
		if x.answer.code < http.StatusInternalServerError { // else it may get into the journal later: nobody was told
			points = append(points, point{x.end, x, true})
		}
	}
	slices.SortFunc(points, func(a, b point) int { return a.at.Compare(b.at) })
	var told, accepted operation
	by := map[string]operation{} // accepted by each incarnation
	for _, p := range points {
		op := *place[p.x.id()]
		if p.end {
			accepted, by[p.x.by] = later(accepted, op), later(by[p.x.by], op)
			if p.x.answer.code != 202 {
				told = later(told, op)
			}
			continue
		}
		before := told
		switch { // who was asked again may have been applied by any of those who were asked
		case op.Origin == "journal" || !kafkaWentAway:
			before = later(before, accepted)
		case p.x.repeats == 0:
			before = later(before, by[p.x.by])
		}
		if value(before.Sequence) > value(op.Sequence) && before.OperationID != op.OperationID {
			f.add("sent after %s was answered, applied before it: %s (%v by %s)", show(before), show(op), p.x.answer.code, p.x.by)
		}
	}
}

func later(a, b operation) operation {
	if value(b.Sequence) > value(a.Sequence) {
		return b
	}
	return a
}

func show(op operation) string {
	return fmt.Sprintf("%s #%d %s %d %s%s→%d %s p%d/%d", op.OperationID, value(op.Sequence), op.OperationType, op.Amount, op.Status, op.Reason,
		value(op.BalanceAfter), op.Origin, value(op.Partition), value(op.Offset))
}

// faults shows the first few of a wallet's faults.
type faults struct {
	t      testing.TB
	wallet uuid.UUID
	n      int
}

func (f *faults) add(format string, args ...any) {
	f.t.Helper()
	if f.n++; f.n <= 8 {
		f.t.Errorf("wallet %s: %s", f.wallet, fmt.Sprintf(format, args...))
	} else if f.n == 9 {
		f.t.Errorf("wallet %s: and more", f.wallet)
	}
}

// auditAll waits until the journal is applied and audits all wallets of the sends,
// in the ledger and in the journal; then the auditor looks at everything.
func (s *stack) auditAll(sends []*send, ids ...uuid.UUID) {
	s.t.Helper()
	s.drained()
	for _, x := range sends {
		if !slices.Contains(ids, x.wallet) {
			ids = append(ids, x.wallet)
		}
	}
	told := readJournal(s.t, s.records(s.topic))
	direct := 0
	for _, id := range ids {
		direct += told.audit(s.t, id, s.audit(id, sends))
	}
	if direct > 0 {
		s.t.Logf("%d operations went the direct way", direct)
	}
	s.clean()
}

// journaled is what the topic says of each wallet.
type journaled struct {
	backfills map[uuid.UUID]map[uuid.UUID]wallet.Operation
	first     map[uuid.UUID][]wallet.Operation // by first occurrence
}

func readJournal(t testing.TB, records []*kgo.Record) journaled {
	t.Helper()
	j := journaled{map[uuid.UUID]map[uuid.UUID]wallet.Operation{}, map[uuid.UUID][]wallet.Operation{}}
	slices.SortFunc(records, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	seen := map[uuid.UUID]bool{}
	for _, r := range records {
		rec := journal.Decode(r)
		for _, op := range rec.Operations {
			switch {
			case rec.Kind == wallet.KindBackfill:
				if j.backfills[rec.WalletID] == nil {
					j.backfills[rec.WalletID] = map[uuid.UUID]wallet.Operation{}
				}
				j.backfills[rec.WalletID][op.ID] = op
			case rec.Kind == wallet.KindOperations && !seen[op.ID]:
				seen[op.ID] = true
				j.first[rec.WalletID] = append(j.first[rec.WalletID], op)
			}
		}
	}
	return j
}

// audit proves that the journal alone tells the wallet's history: the direct
// operations at their sequence, the others, as they first occur, in the places
// between. It returns how many were direct.
func (j journaled) audit(t testing.TB, id uuid.UUID, ops []operation) (direct int) {
	t.Helper()
	f := faults{t: t, wallet: id}
	rest := slices.DeleteFunc(slices.Clone(j.first[id]), func(op wallet.Operation) bool {
		_, direct := j.backfills[id][op.ID]
		return direct
	})
	for _, op := range ops {
		if op.Origin == "direct" {
			direct++
			b, ok := j.backfills[id][uuid.MustParse(op.OperationID)]
			if !ok || b.Sequence != value(op.Sequence) || int64(b.BalanceAfter) != value(op.BalanceAfter) || b.Status.String() != op.Status || int64(b.Amount) != op.Amount {
				f.add("the journal's backfill of %s is %+v", show(op), b)
			}
			continue
		}
		if len(rest) == 0 {
			f.add("the journal does not have %s", show(op))
			continue
		}
		if rest[0].ID.String() != op.OperationID {
			f.add("the journal has %s in the place of %s", rest[0].ID, show(op))
		}
		rest = rest[1:]
	}
	if len(rest) > 0 {
		f.add("%d operations of the journal are not in the ledger, the first is %s", len(rest), rest[0].ID)
	}
	if len(j.backfills[id]) != direct {
		f.add("%d backfills for %d direct operations", len(j.backfills[id]), direct)
	}
	return direct
}
