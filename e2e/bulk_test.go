package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// bulkOutcome is the outcome of one operation of a bulk.
type bulkOutcome struct {
	Operation         *operation
	Balance, Sequence *int64
	Code, Location    string
	Replayed          bool
}

// bulk sends the operations as one request and gives each its answer, as if it had
// been sent by itself.
func (r *replica) bulk(sends []*send, headers ...string) answer {
	type item struct {
		OperationType  string `json:"operationType"`
		Amount         int64  `json:"amount"`
		IdempotencyKey string `json:"idempotencyKey"`
	}
	items := make([]item, len(sends))
	for i, x := range sends {
		items[i] = item{x.kind, x.amount, x.key}
	}
	body, _ := json.Marshal(items)
	sent, by := time.Now(), r.incarnation()
	a := r.do(http.MethodPost, walletPath(sends[0].wallet)+"/operations", body, headers...)
	for i, x := range sends {
		if x.sent.IsZero() {
			x.sent = sent
		}
		x.by, x.end, x.answer = by, time.Now(), a
		if a.err == nil && a.code/100 == 2 && len(a.doc.Outcomes) == len(sends) {
			x.answer = a.doc.Outcomes[i].alone()
		}
	}
	return a
}

// alone is the answer that the operation would have had by itself.
func (o bulkOutcome) alone() answer {
	a := answer{code: 200, header: http.Header{}, doc: document{Operation: o.Operation, Balance: o.Balance, Sequence: o.Sequence, Code: o.Code}}
	switch {
	case o.Code != "":
		a.code = 422
	case o.Operation.Status == "PENDING":
		a.code = 202
	}
	a.header.Set("Location", o.Location)
	if o.Replayed {
		a.header.Set("Idempotency-Replayed", "true")
	}
	return a
}

// draft makes a bulk of n operations with keys of their own.
func draft(id uuid.UUID, random *rand.Rand, name string, n int) []*send {
	sends := make([]*send, n)
	for i := range sends {
		sends[i] = &send{wallet: id, key: fmt.Sprintf("%s-%d", name, i), kind: deposit, amount: 1 + random.Int64N(100)}
		if random.IntN(2) == 0 {
			sends[i].kind, sends[i].amount = withdraw, 1+random.Int64N(110)
		}
	}
	return sends
}

// inOrder fails unless a bulk's operations are in the ledger in their order.
func inOrder(t testing.TB, ops []operation, bulks ...[]*send) {
	t.Helper()
	place := map[string]int{}
	for i, op := range ops {
		place[op.OperationID] = i
	}
	for _, sends := range bulks {
		if !slices.IsSortedFunc(sends, func(a, b *send) int { return place[a.id()] - place[b.id()] }) {
			t.Errorf("the operations of %s and what follows are not in the order of their request", sends[0].key)
		}
	}
}

func TestEachOperationOfABulkHasItsOwnOutcome(t *testing.T) {
	t.Parallel()
	s := startStack(t, 2)
	random := rand.New(rand.NewPCG(seed(t), 1))

	t.Run("each operation has its own outcome", func(t *testing.T) {
		id := s.wallet()
		sends := []*send{
			{wallet: id, key: "a", kind: deposit, amount: 10}, {wallet: id, key: "b", kind: withdraw, amount: 11}, {wallet: id, key: "c", kind: deposit, amount: maxBalance},
			{wallet: id, key: "a", kind: deposit, amount: 10}, {wallet: id, key: "a", kind: deposit, amount: 11}, {wallet: id, key: "d", kind: withdraw, amount: 4},
		}
		a := expect(t, s.replicas[0].bulk(sends, "Prefer", "wait=20"), 200)
		want := []string{"APPLIED 1 10 ", "FAILED 2 10 insufficient_funds", "FAILED 3 10 balance_overflow", "APPLIED 1 10  replayed", "APPLIED 0 0 idempotency_key_reused", "APPLIED 4 6 "}
		for i, o := range a.doc.Outcomes {
			got := fmt.Sprint(o.Operation.Status, " ", value(o.Sequence), " ", value(o.Balance), " ", o.Code)
			if o.Replayed {
				got += " replayed"
			}
			if got != want[i] {
				t.Errorf("%d: %s, want %s", i, got, want[i])
			}
		}
		if got := a.header.Get("Preference-Applied"); got != "wait=20" {
			t.Errorf("Preference-Applied: %s", got)
		}
		s.auditAll([]*send{sends[0], sends[1], sends[2], sends[3], sends[5]})
	})

	t.Run("a thousand, alone, have consecutive sequences and one record", func(t *testing.T) {
		id := s.wallet()
		expect(t, s.replicas[0].submit(id, deposit, 5), 200)
		records := len(s.records(s.topic))
		sends := draft(id, random, "thousand", 1000)
		a := expect(t, s.replicas[1].bulk(sends, "Prefer", "wait=30"), 200)
		for i, o := range a.doc.Outcomes {
			if value(o.Operation.Sequence) != int64(i+2) {
				t.Fatalf("%d: %s", i, show(*o.Operation))
			}
		}
		if n := len(s.records(s.topic)) - records; n != 1 {
			t.Errorf("%d records", n)
		}
		s.auditAll(sends)
	})

	t.Run("a fault in one refuses all, and nothing is journaled", func(t *testing.T) {
		id := s.wallet()
		s.drained()
		ends := fmt.Sprint(s.ends())
		sends := draft(id, random, "faulty", 20)
		sends[3].amount, sends[7].kind = 0, "deposit"
		a := expect(t, s.replicas[0].bulk(sends), 400)
		if len(a.doc.Errors) != 2 || a.doc.Errors[0].Field != "[3].amount" || a.doc.Errors[1].Field != "[7].operationType" || a.doc.Outcome != "not_applied" {
			t.Errorf("answered %s", a.body)
		}
		expect(t, s.replicas[1].bulk(draft(uuid.New(), random, "nowhere", 5)), 404)
		if got := fmt.Sprint(s.ends()); got != ends {
			t.Errorf("the journal ends at %s, before at %s", got, ends)
		}
	})

	t.Run("asynchronous, by location on both replicas", func(t *testing.T) {
		id := s.wallet()
		var all []*send
		for n := range 10 {
			sends := draft(id, random, fmt.Sprint("async-", n), 30)
			expect(t, s.replicas[n%2].bulk(sends, "Prefer", "respond-async"), 202)
			for i, x := range sends {
				location := x.answer.header.Get("Location")
				if got := s.replicas[i%2].get(location); x.answer.code != 202 || got.code != 200 {
					t.Fatalf("answered %v; its location %q answers %v", x.answer, location, got)
				}
			}
			all = append(all, sends...)
		}
		s.auditAll(all)
		inOrder(t, s.audit(id, nil), all)
	})

	t.Run("the same at once through both replicas", func(t *testing.T) {
		id := s.wallet()
		for round := range 6 {
			name := fmt.Sprint("same-", round)
			fresh := random.Uint64()
			answers, copies := make([]answer, 8), make([][]*send, 8)
			var done sync.WaitGroup
			for i := range answers {
				copies[i] = draft(id, rand.New(rand.NewPCG(fresh, 2)), name, 40)
				done.Go(func() { answers[i] = s.replicas[i%2].bulk(copies[i], "Prefer", "wait=20") })
			}
			done.Wait()
			for k := range copies[0] {
				originals := 0
				for i, a := range answers {
					o := expect(t, a, 200).doc.Outcomes[k]
					if !same(*o.Operation, *answers[0].doc.Outcomes[k].Operation) || o.Operation.OperationID != copies[i][k].id() {
						t.Fatalf("two outcomes: %s and %s", show(*o.Operation), show(*answers[0].doc.Outcomes[k].Operation))
					}
					if !o.Replayed {
						originals++
					}
				}
				if originals != 1 {
					t.Errorf("%s is the original of %d", copies[0][k].key, originals)
				}
			}
		}
		s.drained()
		if ops := s.audit(id, nil); len(ops) != 6*40 {
			t.Errorf("%d operations", len(ops))
		}
	})

	t.Run("bulks and singles of one wallet through both replicas", func(t *testing.T) {
		id := s.wallet()
		l := s.start(load{wallets: []uuid.UUID{id}, rate: 100})
		var mu sync.Mutex
		var bulks [][]*send
		var done sync.WaitGroup
		for w := range 4 {
			own := rand.New(rand.NewPCG(random.Uint64(), 3))
			done.Go(func() {
				for n := range 12 {
					sends := draft(id, own, fmt.Sprintf("mixed-%d-%d", w, n), 1+own.IntN(200))
					a := s.replicas[(w+n)%2].bulk(sends, "Prefer", "wait=30")
					if a.code != 200 {
						t.Errorf("answered %v", a)
					}
					mu.Lock()
					bulks = append(bulks, sends)
					mu.Unlock()
				}
			})
		}
		done.Wait()
		all := l.stop()
		only(t, all, 200, 422, 202)
		for _, sends := range bulks {
			all = append(all, sends...)
		}
		s.auditAll(all)
		inOrder(t, s.audit(id, nil), bulks...)
		again := make([]*send, len(bulks[0]))
		for i, x := range bulks[0] {
			again[i] = &send{wallet: id, key: x.key, kind: x.kind, amount: x.amount}
		}
		for i, o := range expect(t, s.replicas[1].bulk(again), 200).doc.Outcomes {
			if !o.Replayed || !same(*o.Operation, *bulks[0][i].answer.doc.Operation) {
				t.Errorf("a later repeat: %s, at first %s", show(*o.Operation), show(*bulks[0][i].answer.doc.Operation))
			}
		}
	})
}

func TestAReplicaIsKilledUnderBulks(t *testing.T) {
	t.Parallel()
	s := startStack(t, 2)
	ids := s.wallets(3)
	random := rand.New(rand.NewPCG(seed(t), 4))
	stop := make(chan struct{})
	var mu sync.Mutex
	var bulks [][]*send
	repeats := 0
	var done sync.WaitGroup
	for w := range 3 {
		own := rand.New(rand.NewPCG(random.Uint64(), 5))
		done.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				sends := draft(ids[(w+n)%3], own, fmt.Sprintf("killed-%d-%d", w, n), 1+own.IntN(120))
				deadline := time.Now().Add(patience)
				for try := 0; ; try++ { // with the same keys, until it is answered
					// A short wait, so that everybody comes to the dead replica while it is dead.
					a := s.replicas[(w+n+try)%2].bulk(sends, "Prefer", "wait=1")
					if a.err == nil && (a.code == 200 || a.code == 202) {
						break
					}
					if a.err == nil && a.code != 503 && a.code != 429 || time.Now().After(deadline) {
						t.Errorf("answered %v", a)
						break
					}
					for _, x := range sends {
						x.repeats++
					}
					mu.Lock()
					repeats++
					mu.Unlock()
					elapse(50 * time.Millisecond)
				}
				mu.Lock()
				bulks = append(bulks, sends)
				mu.Unlock()
			}
		})
	}
	elapse(1500 * time.Millisecond)
	s.replicas[1].kill()
	elapse(2 * time.Second)
	s.replicas[1].start()
	s.replicas[1].ready()
	elapse(time.Second)
	close(stop)
	done.Wait()
	var all []*send
	for _, sends := range bulks {
		all = append(all, sends...)
	}
	t.Logf("%d bulks of %d operations, %d repeats", len(bulks), len(all), repeats)
	if repeats == 0 {
		t.Error("the kill was not noticed")
	}
	s.auditAll(all, ids...)
}

func TestBulksWithoutAComponent(t *testing.T) {
	s := startStack(t, 2)
	id := s.wallet()
	random := rand.New(rand.NewPCG(seed(t), 6))
	var all []*send
	send := func(name string, code int, check func(o bulkOutcome) bool) {
		t.Helper()
		for n := range 4 {
			sends := draft(id, random, fmt.Sprint(name, "-", n), 250)
			a := expect(t, s.replicas[n%2].bulk(sends), code)
			for _, o := range a.doc.Outcomes {
				if check != nil && !check(o) {
					t.Fatalf("%s: %s %s, location %q", name, show(*o.Operation), o.Code, o.Location)
				}
			}
			all = append(all, sends...)
		}
	}
	down := func(component string) {
		t.Helper()
		for _, r := range s.replicas {
			eventually(t, component+" is down for "+r.name, func() bool { h, err := r.health(); return err == nil && h.of(component) == "down" })
		}
	}
	up := func(restarts ...func(context.Context) error) {
		t.Helper()
		for _, restart := range restarts {
			if err := restart(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range s.replicas {
			r.ready()
		}
	}
	send("before", 200, nil)
	defer func() { // whatever fails: other tests use them too
		_, _ = s.kafka.Restart(context.Background()), s.postgres.Restart(context.Background())
	}()

	s.kafkaWentAway = true
	s.kafka.Kill()
	down("kafka")
	send("no-journal", 200, func(o bulkOutcome) bool { return o.Operation.Origin == "direct" && o.Operation.Status != "PENDING" })
	up(s.kafka.Restart)
	send("journal-again", 200, nil)

	s.postgres.Kill()
	down("postgres")
	began := time.Now()
	send("no-ledger", 202, func(o bulkOutcome) bool { return o.Operation.Status == "PENDING" && o.Location != "" })
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("four bulks took %s: they waited for a ledger that is away", took)
	}

	s.kafka.Kill()
	down("kafka")
	lost := draft(id, random, "neither", 100)
	a := expect(t, s.replicas[0].bulk(lost), 503)
	if a.header.Get("Retry-After") == "" || a.doc.Outcome != "unknown" && a.doc.Outcome != "not_applied" || a.doc.Code != "unavailable" {
		t.Errorf("answered %v", a)
	}
	up(s.postgres.Restart, s.kafka.Restart)
	again := expect(t, s.replicas[1].bulk(lost, "Prefer", "wait=30"), 200)
	for _, o := range again.doc.Outcomes {
		if o.Replayed && a.doc.Outcome == "not_applied" {
			t.Errorf("answered not_applied, and was applied: %s", show(*o.Operation))
		}
	}
	s.auditAll(append(all, lost...))
}
