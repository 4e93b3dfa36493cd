package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"
)

// TestWithdrawalsFollowTheirDeposits sends each operation after the 202 of the one
// before, to the other replica: the wallet is empty but for the deposit just
// accepted, so a withdrawal that overtook it would fail.
func TestWithdrawalsFollowTheirDeposits(t *testing.T) {
	t.Parallel()
	s := startStack(t, 2)
	const pairs, walkers = 3200, 32
	var mu sync.Mutex
	var sends []*send
	var walking sync.WaitGroup
	began := time.Now()
	for n := range walkers { // each on a wallet of its own
		id := s.wallet()
		walking.Go(func() {
			var mine []*send
			for i := range 2 * pairs / walkers {
				x := &send{wallet: id, key: fmt.Sprintf("pair-%d-%d", n, i), kind: []string{deposit, withdraw}[i%2], amount: int64(1 + i/2%97), sent: time.Now()}
				r := s.replicas[(i+n)%2]
				x.by = r.incarnation()
				x.answer = r.submit(id, x.kind, x.amount, "Idempotency-Key", x.key, "Prefer", "respond-async")
				x.end = time.Now()
				mine = append(mine, x)
			}
			mu.Lock()
			defer mu.Unlock()
			sends = append(sends, mine...)
		})
	}
	walking.Wait()
	took := time.Since(began)
	t.Logf("%s; %.0f a second", summary(sends), float64(len(sends))/took.Seconds())
	only(t, sends, http.StatusAccepted)
	s.auditAll(sends)
	if failed := s.count("SELECT count(*) FROM operations WHERE status <> 1"); failed > 0 {
		t.Errorf("%d of %d operations failed", failed, len(sends))
	}
}

// asked and told are an operation of the linearizability check and its answer.
type asked struct {
	wallet uuid.UUID
	kind   string // "" reads
	amount int64
}

type told struct {
	unknown           bool
	failed            bool
	balance, sequence int64
}

// account is the model: what a wallet holds after so many operations.
type account struct{ balance, sequence int64 }

var model = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[uuid.UUID][]porcupine.Operation{}
		for _, op := range history {
			id := op.Input.(asked).wallet
			by[id] = append(by[id], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range by {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return account{} },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(account), input.(asked), output.(told)
		if in.kind == "" {
			return out.balance == now.balance && out.sequence == now.sequence, now
		}
		failed := in.kind == withdraw && in.amount > now.balance
		switch {
		case failed:
		case in.kind == withdraw:
			now.balance -= in.amount
		default:
			now.balance += in.amount
		}
		now.sequence++
		return out.unknown || out.failed == failed && out.balance == now.balance && out.sequence == now.sequence, now
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v → %+v", input, output) },
}

func TestLinearizable(t *testing.T) {
	t.Parallel()
	s := startStack(t, 2)
	ids := s.wallets(3)
	const clients, each = 16, 120
	start, random := time.Now(), seed(t)
	var mu sync.Mutex
	var history []porcupine.Operation
	counts := map[int]int{}
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			draw := rand.New(rand.NewPCG(random, uint64(c)))
			for range each {
				in := asked{wallet: ids[draw.IntN(len(ids))], amount: 1 + draw.Int64N(50)}
				in.kind = []string{"", deposit, withdraw}[draw.IntN(3)]
				r := s.replicas[draw.IntN(2)]
				called := time.Since(start)
				var a answer
				if in.kind == "" {
					a = r.get(walletPath(in.wallet), "Cache-Control", "no-cache")
				} else {
					a = r.submit(in.wallet, in.kind, in.amount, "Prefer", "wait=20")
				}
				op := porcupine.Operation{ClientId: c, Input: in, Call: int64(called), Return: int64(time.Since(start)), Output: outcomeOf(a)}
				mu.Lock()
				history, counts[a.code] = append(history, op), counts[a.code]+1
				mu.Unlock()
			}
		})
	}
	running.Wait()
	t.Logf("%d operations of %d clients on %d wallets in %s: answers %v", len(history), clients, len(ids), time.Since(start).Round(time.Millisecond), counts)
	if counts[200]+counts[422] != len(history) {
		t.Errorf("answers %v", counts)
	}
	if result := porcupine.CheckOperationsTimeout(model, history, patience); result != porcupine.Ok {
		t.Errorf("the history is not linearizable: %s", result)
	}
	s.auditAll(nil, ids...)
}

func outcomeOf(a answer) told {
	switch {
	case a.code == 200:
		return told{balance: value(a.doc.Balance), sequence: value(a.doc.Sequence)}
	case a.code == 422 && a.doc.Operation != nil:
		return told{failed: true, balance: value(a.doc.Operation.BalanceAfter), sequence: value(a.doc.Operation.Sequence)}
	}
	return told{unknown: true}
}
