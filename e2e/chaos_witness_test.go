//go:build chaos

package e2e_test

import (
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"
)

const (
	witnessWallets = 8
	witnesses      = 3                      // clients of each of these wallets
	thinkMost      = 200 * time.Millisecond // between a client's requests
	checkMost      = time.Minute            // for porcupine, over all wallets
)

// testimony is what a few clients asked of a few wallets, each one thing after the
// other, and what they were told: enough of it to be judged whole.
type testimony struct {
	*balancer
	began   time.Time
	stopped chan struct{}
	done    sync.WaitGroup

	mu    sync.Mutex
	reads []porcupine.Operation
	sends []*send
}

// testify starts the clients.
func testify(b *balancer, ids []uuid.UUID, random *rand.Rand) *testimony {
	w := &testimony{balancer: b, began: time.Now(), stopped: make(chan struct{})}
	for n := range len(ids) * witnesses {
		draw := rand.New(rand.NewPCG(random.Uint64(), 0))
		w.done.Go(func() { w.client(n, ids[n%len(ids)], draw) })
	}
	return w
}

func (w *testimony) client(n int, id uuid.UUID, random *rand.Rand) {
	for turn := n; !closed(w.stopped); turn++ {
		if random.IntN(3) == 0 {
			w.read(n, id, turn)
		} else {
			w.write(id, turn, random)
		}
		elapse(time.Duration(random.Int64N(int64(thinkMost))))
	}
}

// read asks for the present balance. One that failed has no effect and tells nothing.
func (w *testimony) read(n int, id uuid.UUID, turn int) {
	called := time.Since(w.began)
	a := read(w.replicas[w.pick(turn)], walletPath(id), "Cache-Control", "no-cache")
	if a.err != nil || a.code != http.StatusOK {
		return
	}
	op := porcupine.Operation{ClientId: n, Input: asked{wallet: id}, Call: int64(called), Return: int64(time.Since(w.began)), Output: outcomeOf(a)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads = append(w.reads, op)
}

// write sends an operation. Every other one is not tried again: without an answer it
// stays open.
func (w *testimony) write(id uuid.UUID, turn int, random *rand.Rand) {
	x := &send{wallet: id, key: uuid.NewString(), kind: deposit, amount: 1 + random.Int64N(50)}
	if random.IntN(2) == 0 {
		x.kind = withdraw
	}
	var headers []string
	if random.IntN(8) == 0 {
		headers = []string{"Prefer", "respond-async"}
	}
	if x.sent = time.Now(); turn%2 == 0 {
		w.try(x, turn, headers...)
	} else {
		w.send(x, turn, headers...)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sends = append(w.sends, x)
}

// stop ends the clients and returns what they sent.
func (w *testimony) stop() []*send {
	close(w.stopped)
	w.done.Wait()
	return w.sends
}

// judge checks that each wallet's history is that of a wallet that does one thing at a
// time, each at some moment between its request and its answer. A request that got no
// outcome, because nobody answered it or with 202, may take effect at any time after
// it: its answer is what the wallet's list says of it in the end, or none. That is also
// what the direct way may do with what other replicas left PENDING.
func (w *testimony) judge(t *testing.T, r *rig) {
	t.Helper()
	final := map[string]told{}
	var history []porcupine.Operation
	for _, id := range walletsOf(w.sends) {
		for _, op := range r.replicas[0].history(t, id) {
			final[op.OperationID] = told{failed: op.Status == "FAILED", balance: value(op.BalanceAfter), sequence: value(op.Sequence)}
		}
		for n := range r.replicas {
			w.read(n, id, n)
		}
	}
	open, never := 0, 0
	for _, x := range w.sends {
		op := porcupine.Operation{Input: asked{x.wallet, x.kind, x.amount}, Call: int64(x.sent.Sub(w.began)), Return: int64(x.end.Sub(w.began)), Output: outcomeOf(x.answer)}
		if op.Output.(told).unknown {
			outcome, found := final[x.id()]
			if !found { // it has had no effect: nobody else's answer depends on it
				never++
				continue
			}
			open++
			op.Return, op.Output = math.MaxInt64, outcome
		}
		history = append(history, op)
	}
	history = append(history, w.reads...)
	result := porcupine.CheckOperationsTimeout(model, history, checkMost)
	t.Logf("linearizability: %d operations on %d wallets, %d left open, %d others without an outcome or effect: %s", len(history), witnessWallets, open, never, result)
	if result != porcupine.Ok {
		t.Errorf("the history is not linearizable: %s", result)
	}
}

func walletsOf(sends []*send) (ids []uuid.UUID) {
	for _, x := range sends {
		if !slices.Contains(ids, x.wallet) {
			ids = append(ids, x.wallet)
		}
	}
	return ids
}
