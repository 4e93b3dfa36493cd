package e2e_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestIdempotency(t *testing.T) {
	t.Parallel()
	s := startStack(t, 2)

	// together sends requests at the same moment, through both replicas in turn.
	together := func(n int, one func(n int, r *replica) answer) []answer {
		answers := make([]answer, n)
		begin := make(chan struct{})
		var done sync.WaitGroup
		for i := range n {
			done.Go(func() {
				<-begin
				answers[i] = one(i, s.replicas[i%2])
			})
		}
		close(begin)
		done.Wait()
		return answers
	}

	t.Run("50 repeats at once", func(t *testing.T) {
		id := s.wallet()
		for round := range 8 {
			key := fmt.Sprint("round-", round)
			original := 0
			answers := together(50, func(_ int, r *replica) answer {
				return r.submit(id, deposit, 10, "Idempotency-Key", key, "Prefer", "wait=20")
			})
			for _, a := range answers {
				expect(t, a, 200)
				if !same(*a.doc.Operation, *answers[0].doc.Operation) || a.doc.Operation.OperationID != uuid.NewSHA1(id, []byte(key)).String() {
					t.Fatalf("two outcomes: %v and %v", a, answers[0])
				}
				if a.header.Get("Idempotency-Replayed") == "" {
					original++
				}
			}
			if original != 1 {
				t.Errorf("round %d: %d answers without Idempotency-Replayed", round, original)
			}
			if later := expect(t, s.replicas[round%2].submit(id, deposit, 10, "Idempotency-Key", key), 200); later.header.Get("Idempotency-Replayed") != "true" || !same(*later.doc.Operation, *answers[0].doc.Operation) {
				t.Errorf("a later repeat: %v", later)
			}
		}
		if ops := s.audit(id, nil); len(ops) != 8 {
			t.Errorf("%d operations", len(ops))
		}
	})

	t.Run("repeats of a refused one", func(t *testing.T) {
		id := s.wallet()
		first := expect(t, s.replicas[0].submit(id, withdraw, 5, "Idempotency-Key", "w"), 422)
		expect(t, s.replicas[0].submit(id, deposit, 100), 200)
		again := expect(t, s.replicas[1].submit(id, withdraw, 5, "Idempotency-Key", "w"), 422)
		if again.header.Get("Idempotency-Replayed") != "true" || !same(*first.doc.Operation, *again.doc.Operation) {
			t.Errorf("first %v, again %v", first, again)
		}
	})

	t.Run("a key used for something else", func(t *testing.T) {
		id := s.wallet()
		expect(t, s.replicas[0].submit(id, deposit, 10, "Idempotency-Key", "k"), 200)
		for _, a := range []answer{
			s.replicas[0].submit(id, deposit, 11, "Idempotency-Key", "k"), s.replicas[1].submit(id, deposit, 11, "Idempotency-Key", "k"),
			s.replicas[0].submit(id, withdraw, 10, "Idempotency-Key", "k"), s.replicas[1].submit(id, withdraw, 10, "Idempotency-Key", "k"),
		} {
			if expect(t, a, 422).doc.Code != "idempotency_key_reused" || a.doc.Outcome != "not_applied" {
				t.Errorf("answered %v", a)
			}
		}
		other := s.wallet()
		expect(t, s.replicas[1].submit(other, deposit, 11, "Idempotency-Key", "k"), 200)
		if ops := s.audit(id, nil); len(ops) != 1 {
			t.Errorf("%d operations", len(ops))
		}
	})

	t.Run("a key used for two things at once", func(t *testing.T) {
		id := s.wallet()
		const rounds = 20
		for round := range rounds {
			key := fmt.Sprint("split-", round)
			won := map[int64]int{}
			for i, a := range together(20, func(i int, r *replica) answer {
				return r.submit(id, deposit, int64(1+i/2%2), "Idempotency-Key", key, "Prefer", "wait=20")
			}) {
				amount := int64(1 + i/2%2)
				switch {
				case a.code == 200 && a.doc.Operation.Amount == amount:
					won[amount]++
				case a.code != 422 || a.doc.Code != "idempotency_key_reused" || a.doc.Operation != nil && a.doc.Operation.Amount == amount:
					t.Fatalf("amount %d: %v", amount, a)
				}
			}
			if len(won) != 1 || won[1]+won[2] != 10 {
				t.Errorf("round %d: answered 200 by amount: %v", round, won)
			}
		}
		s.drained()
		if ops := s.audit(id, nil); len(ops) != rounds {
			t.Errorf("%d operations, want %d", len(ops), rounds)
		}
	})

	t.Run("asynchronous repeats", func(t *testing.T) {
		id := s.wallet()
		var x send
		for n := range 30 {
			x = send{wallet: id, key: "async", kind: deposit, amount: 3, sent: time.Now()}
			x.answer = s.replicas[n%2].submit(id, deposit, 3, "Idempotency-Key", x.key, "Prefer", "respond-async")
			if x.answer.code != 200 && x.answer.code != 202 || x.answer.doc.Operation.OperationID != x.id() {
				t.Fatalf("answered %v", x.answer)
			}
		}
		s.drained()
		if ops := s.audit(id, nil); len(ops) != 1 {
			t.Errorf("%d operations", len(ops))
		}
		ends := s.ends()
		for _, r := range s.replicas {
			if a := expect(t, r.submit(id, deposit, 3, "Idempotency-Key", x.key, "Prefer", "respond-async"), 200); a.header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("a repeat of what is settled: %v", a)
			}
			if a := expect(t, r.submit(id, deposit, 4, "Idempotency-Key", x.key, "Prefer", "respond-async"), 422); a.doc.Code != "idempotency_key_reused" {
				t.Errorf("the key of what is settled: %v", a)
			}
		}
		if now := s.ends(); fmt.Sprint(now) != fmt.Sprint(ends) {
			t.Errorf("repeats were journaled: the journal ends at %v, before at %v", now, ends)
		}
	})

	t.Run("a wallet made again", func(t *testing.T) {
		seen, key := map[string]bool{}, "shop-"+uuid.NewString() // Redis is shared
		for _, a := range together(20, func(_ int, r *replica) answer {
			return r.do(http.MethodPost, "/api/v1/wallet/create", nil, "Idempotency-Key", key)
		}) {
			expect(t, a, 201)
			seen[a.doc.WalletID] = true
		}
		if len(seen) != 1 {
			t.Errorf("%d wallets", len(seen))
		}
	})

	t.Run("keys that are none", func(t *testing.T) {
		id := s.wallet()
		for _, key := range []string{"with space", "ä", string(make([]byte, 0)), fmt.Sprintf("%0256d", 1)} {
			if a := s.replicas[0].submit(id, deposit, 1, "Idempotency-Key", key); a.code != 400 || a.doc.Code != "invalid_request" {
				t.Errorf("key %.20q: %v", key, a)
			}
		}
		expect(t, s.replicas[0].submit(id, deposit, 1, "Idempotency-Key", fmt.Sprintf("%0255d", 1)), 200)
	})
}
