package ledger_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// storied is a wallet with 40 numbered and 6 requeued operations, as a client has
// to see them: newest first, those without a number before all.
func storied(b *book) (id uuid.UUID, want []wallet.Operation) {
	id = b.funded(100)
	amounts := make([]wallet.Amount, 39)
	for i := range amounts {
		amounts[i] = []wallet.Amount{10, -5, -1_000_000}[i%3]
	}
	ops := decide(funds, id, amounts...)
	b.mustCommit(&wallet.Batch{Changes: []wallet.Change{change(id, 1, ops)}, Operations: ops})
	requests := make([]wallet.Operation, 6)
	for i := range requests {
		requests[i] = request(id, []wallet.Amount{1, -2}[i%2])
	}
	b.listed(id, requests...)
	for _, e := range entries(requests...) {
		want = append([]wallet.Operation{e.Operation}, want...)
	}
	slices.Reverse(ops)
	want = append(want, ops...)
	page, err := b.Operations(testContext(b.t), id, wallet.Query{Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	return id, append(want, page.Operations[len(page.Operations)-1]) // the deposit that funded it
}

// filters are all combinations of the filters, and what each lets through.
func filters() map[string]wallet.Query {
	all := map[string]wallet.Query{}
	for _, s := range []*wallet.Status{nil, new(wallet.Pending), new(wallet.Applied), new(wallet.Failed)} {
		for _, typ := range []wallet.Type{0, wallet.Deposit, wallet.Withdraw} {
			for _, from := range []time.Time{{}, now.Add(10 * time.Second)} {
				for _, to := range []time.Time{{}, now.Add(30 * time.Second)} {
					q := wallet.Query{Status: s, Type: typ, From: from, To: to}
					name := fmt.Sprintf("%s from %t to %t", typ, !from.IsZero(), !to.IsZero())
					if s != nil {
						name = s.String() + " " + name
					}
					all[name] = q
				}
			}
		}
	}
	return all
}

func matches(q wallet.Query, op wallet.Operation) bool {
	timed := !q.From.IsZero() || !q.To.IsZero()
	switch {
	case q.Status != nil && op.Status != *q.Status, q.Type != 0 && op.Type != q.Type, timed && op.Status == wallet.Pending:
		return false
	case !q.From.IsZero() && op.AppliedAt.Before(q.From), !q.To.IsZero() && !op.AppliedAt.Before(q.To):
		return false
	}
	return true
}

// pages reads a list to its end; between is called after each page.
func (b *book) pages(id uuid.UUID, q wallet.Query, between func()) (all []wallet.Operation) {
	b.t.Helper()
	for n := 0; ; n++ {
		page, err := b.Operations(testContext(b.t), id, q)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(page.Operations) > q.Limit || page.Next != nil && n > 200 {
			b.t.Fatalf("page %d has %d operations, the limit is %d", n, len(page.Operations), q.Limit)
		}
		all = append(all, page.Operations...)
		if page.Next == nil {
			return all
		}
		q.Before = *page.Next
		between()
	}
}

func TestPagesAreTheFilteredListWhateverTheLimit(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id, all := storied(b)
	for name, q := range filters() {
		var want []wallet.Operation
		for _, op := range all {
			if matches(q, op) {
				want = append(want, op)
			}
		}
		// The edges: 6 are requeued, 46 are there.
		for _, limit := range []int{2, 5, 6, 7, 46, 47} {
			q.Limit = limit
			got := b.pages(id, q, func() {})
			if !slices.Equal(got, want) {
				t.Fatalf("%s, limit %d: %d operations, want %d\n%+v\n%+v", name, limit, len(got), len(want), got, want)
			}
		}
	}
}

// A page costs the same however long the history is and whatever its filters let
// through: it goes on in the next one.
func TestAFilteredPageLooksAtABoundedPartOfTheHistory(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.funded(100)
	const more = 45_000
	exec(t, b.conn, fmt.Sprintf(`INSERT INTO operations (wallet_id, operation_id, sequence, type, amount, status, reason, origin, balance_after, accepted_at, applied_at)
		SELECT '%s', gen_random_uuid(), 1 + n, CASE WHEN n = 1 THEN 2 ELSE 1 END, 1, 1, 0, 0, 1, now(), now() FROM generate_series(1, %d) AS n`, id, more))
	exec(t, b.conn, fmt.Sprintf(`UPDATE wallets SET version = %d WHERE id = '%s'`, 1+more, id))
	q, sizes := wallet.Query{Limit: 50, Type: wallet.Withdraw}, []int{}
	for {
		page, err := b.Operations(testContext(t), id, q)
		if err != nil {
			t.Fatal(err)
		}
		if sizes = append(sizes, len(page.Operations)); page.Next == nil {
			break
		}
		q.Before = *page.Next
	}
	if !slices.Equal(sizes, []int{0, 0, 1}) {
		t.Errorf("pages of %v of the one withdrawal", sizes)
	}
	if all := b.pages(id, wallet.Query{Limit: 1000}, func() {}); len(all) != 1+more {
		t.Errorf("%d operations without a filter", len(all))
	}
}

// A statement of a period costs what the period has, wherever in a long history it is.
func TestAPeriodOfALongHistoryIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.funded(100)
	const more = 90_000 // one a second, but for clocks that are up to half an hour apart
	exec(t, b.conn, fmt.Sprintf(`INSERT INTO operations (wallet_id, operation_id, sequence, type, amount, status, reason, origin, balance_after, accepted_at, applied_at)
		SELECT '%[1]s', gen_random_uuid(), 1 + n, 1, 1, 1, 0, 0, 1, at, at
		FROM (SELECT n, timestamptz '%[2]s' + n * interval '1 s' + (n %% 3 - 1) * interval '29 min' AS at FROM generate_series(1, %[3]d) AS n) AS later`,
		id, now.Format(time.RFC3339), more))
	exec(t, b.conn, fmt.Sprintf(`UPDATE wallets SET version = %d WHERE id = '%s'`, 1+more, id))
	for _, c := range []struct{ from, to time.Duration }{
		{20 * time.Hour, 20*time.Hour + time.Minute}, {0, time.Minute}, {24 * time.Hour, 0}, {0, 2 * time.Hour}, {40 * time.Hour, 0}, {40 * time.Hour, 50 * time.Hour}, {-50 * time.Hour, -40 * time.Hour},
	} {
		q := wallet.Query{Limit: 1000, From: now.Add(c.from)}
		if c.to != 0 {
			q.To = now.Add(c.to)
		}
		pages, found := 0, 0
		for {
			page, err := b.Operations(testContext(t), id, q)
			if err != nil {
				t.Fatal(err)
			}
			pages, found = pages+1, found+len(page.Operations)
			if page.Next == nil {
				break
			}
			q.Before = *page.Next
		}
		var want int
		if err := b.conn.QueryRow(testContext(t), `SELECT count(*) FROM operations WHERE wallet_id = $1 AND applied_at >= $2 AND ($3::timestamptz IS NULL OR applied_at < $3)`,
			id, q.From, nullable(q.To)).Scan(&want); err != nil {
			t.Fatal(err)
		}
		if found != want || pages > 1+want/q.Limit {
			t.Errorf("from %s to %s: %d operations in %d pages, want %d", c.from, c.to, found, pages, want)
		}
	}
}

// Times are kept in microseconds; an edge that is finer is one all the same.
func TestTheEdgesOfAPeriodAreExact(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.funded(100)
	page, err := b.Operations(testContext(t), id, wallet.Query{Limit: 1})
	if err != nil || len(page.Operations) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	at := page.Operations[0].AppliedAt
	for _, off := range []time.Duration{-500, 0, 500} {
		edge := at.Add(off)
		from, err1 := b.Operations(testContext(t), id, wallet.Query{Limit: 1, From: edge})
		to, err2 := b.Operations(testContext(t), id, wallet.Query{Limit: 1, To: edge})
		if err := errors.Join(err1, err2); err != nil || (len(from.Operations) == 1) == at.Before(edge) || (len(to.Operations) == 1) != at.Before(edge) {
			t.Errorf("an edge %s after: %d from it, %d before it, %v", off, len(from.Operations), len(to.Operations), err)
		}
	}
}

func nullable(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

func TestPagesOfAnEmptyWalletEnd(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := uuid.New()
	if _, _, err := b.Create(testContext(t), id, now); err != nil {
		t.Fatal(err)
	}
	if got := b.pages(id, wallet.Query{Limit: 1}, func() {}); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestPagesMissAndRepeatNothingWhileOperationsArrive(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id, want := storied(b)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	state := b.read(id).Wallets[id]
	arrive := func() {
		if random.IntN(2) == 0 {
			b.listed(id, request(id, 3))
		}
		ops := decide(state, id, 1, -1)
		for i := range ops {
			ops[i].ID = uuid.New()
		}
		b.mustCommit(&wallet.Batch{Changes: []wallet.Change{change(id, state.Sequence, ops)}, Operations: ops})
		state = wallet.State{Balance: ops[1].BalanceAfter, Sequence: ops[1].Sequence}
	}
	for _, limit := range []int{4, 6, 9} {
		got := b.pages(id, wallet.Query{Limit: limit}, arrive)
		seen := map[uuid.UUID]int{}
		for i, op := range got {
			seen[op.ID]++
			if i > 0 && op.Sequence > 0 && got[i-1].Sequence > 0 && op.Sequence >= got[i-1].Sequence {
				t.Errorf("limit %d: %d follows %d", limit, op.Sequence, got[i-1].Sequence)
			}
		}
		for _, op := range want {
			if seen[op.ID] != 1 {
				t.Errorf("limit %d: operation %d (%s) is shown %d times", limit, op.Sequence, op.Status, seen[op.ID])
			}
		}
		for op, n := range seen {
			if n != 1 {
				t.Errorf("limit %d: %s is shown %d times", limit, op, n)
			}
		}
	}
}

// Repeats of what is applied, and of what waits, join the list. They are no operations of
// their own, and one whose key was reused with another amount was refused.
func TestAListShowsWhatWaitsOnceAndNoRepeatOfWhatIsApplied(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.funded(100)
	ops := decide(funds, id, 5)
	b.mustCommit(&wallet.Batch{Changes: []wallet.Change{change(id, 1, ops)}, Operations: ops})
	applied := request(id, 5)
	applied.ID = ops[0].ID
	reused := applied
	reused.Amount = 555
	waits := request(id, 7)
	other := waits
	other.Amount = 8
	b.listed(id, applied, reused, waits, waits, other)
	for name, q := range map[string]wallet.Query{"all": {Limit: 100}, "one by one": {Limit: 1}, "PENDING": {Limit: 100, Status: new(wallet.Pending)}} {
		var got []string
		for _, op := range b.pages(id, q, func() {}) {
			got = append(got, fmt.Sprint(op.Status, " ", op.Amount))
		}
		want := []string{"PENDING 7", "APPLIED 5", "APPLIED 100"}
		if q.Status != nil {
			want = want[:1]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// A client repeats one request while its wallet is set aside.
func TestALongListOfRepeatsIsPagedInTime(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.funded(100)
	requests := slices.Repeat([]wallet.Operation{request(id, 1)}, 10_000)
	b.listed(id, requests...)
	page, err := b.Operations(testContext(t), id, wallet.Query{Limit: 50, Status: new(wallet.Pending)})
	if err != nil || len(page.Operations) != 1 || page.Next != nil {
		t.Errorf("%d operations, next %v: %v", len(page.Operations), page.Next, err)
	}
}

// A foreign transaction applies the list while it holds the operations locked, so
// that the page is caught between its reads.
func TestAPageShowsAnOperationOnceThoughItIsAppliedMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.funded(100)
	op := request(id, 1)
	b.listed(id, op)
	tx, err := b.conn.Begin(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	exec(t, b.conn, `LOCK TABLE operations IN ACCESS EXCLUSIVE MODE`)
	exec(t, b.conn, `INSERT INTO operations (wallet_id, operation_id, sequence, type, amount, status, reason, origin, balance_after, accepted_at, applied_at)
		VALUES ($1, $2, 2, 1, 1, 1, 0, 0, 101, $3, $3)`, id, op.ID, now)
	exec(t, b.conn, `DELETE FROM requeued WHERE wallet_id = $1`, id)
	pages := make(chan wallet.Page, 1)
	go func() {
		page, err := b.Operations(testContext(t), id, wallet.Query{Limit: 10})
		if err != nil {
			t.Error(err)
		}
		pages <- page
	}()
	other := connect(t, b.dsn)
	eventually(t, "the page waits for the operations", func() bool {
		var waiting int
		err := other.QueryRow(testContext(t), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'walletd' AND wait_event_type = 'Lock'`).Scan(&waiting)
		return err == nil && waiting == 1
	})
	if err := tx.Commit(testContext(t)); err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, o := range (<-pages).Operations {
		if o.ID == op.ID {
			shown++
		}
	}
	if shown != 1 {
		t.Errorf("it is shown %d times", shown)
	}
}

func TestAnOperationIsFoundWhereverItIs(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.funded(100)
	ops := decide(funds, id, -500)
	b.mustCommit(&wallet.Batch{Fence: b.fence(0, 3), Changes: []wallet.Change{change(id, 1, ops)}, Operations: ops})
	waiting := request(id, 4)
	b.listed(id, waiting)
	missing := request(uuid.New(), 5)
	refused := wallet.Refuse(missing, now)
	b.mustCommit(&wallet.Batch{Operations: []wallet.Operation{refused}})

	find := func(key wallet.Key, partition int32) (*wallet.Operation, int64) {
		t.Helper()
		op, passed, err := b.Operation(testContext(t), key, partition)
		if err != nil {
			t.Fatal(err)
		}
		return op, passed
	}
	const nowhere = -1
	if op, _ := find(ops[0].Key(), 0); op == nil || *op != ops[0] {
		t.Errorf("applied: %+v", op)
	}
	if op, _ := find(waiting.Key(), nowhere); op == nil || *op != entries(waiting)[0].Operation {
		t.Errorf("requeued: %+v, want %+v", op, entries(waiting)[0].Operation)
	}
	exec(t, b.conn, fmt.Sprintf("UPDATE requeued SET kind = 3 WHERE operation_id = '%s'", waiting.ID))
	if op, _ := find(waiting.Key(), nowhere); op == nil || *op != entries(waiting)[0].Operation {
		t.Errorf("a requeued backfill: %+v", op)
	}
	if op, _ := find(missing.Key(), nowhere); op == nil || *op != refused {
		t.Errorf("of a wallet that is not there: %+v", op)
	}
	for partition, want := range map[int32]int64{0: 4, 1: 0, 99: 0, nowhere: 0} {
		if op, passed := find(wallet.Key{WalletID: id, ID: uuid.New()}, partition); op != nil || passed != want {
			t.Errorf("unknown in partition %d: %+v, passed %d, want %d", partition, op, passed, want)
		}
	}
	if op, _ := find(wallet.Key{WalletID: uuid.New(), ID: ops[0].ID}, nowhere); op != nil {
		t.Error("it is another wallet's too")
	}
}
