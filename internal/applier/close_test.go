package applier_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// Not parallel: it counts goroutines.
func TestRevokingAndClosingAtAnyTimeLeakNothing(t *testing.T) {
	seed := rand.Uint64()
	if *simSeed != 0 {
		seed = *simSeed
	}
	t.Logf("replay with -sim.seed=%d", seed)
	random := &locked{Rand: rand.New(rand.NewPCG(seed, 3))}
	before := goleak.IgnoreCurrent()
	for range 60 {
		w := newMemoryWorld(t, 2)
		ids := []wallet.Operation{deposit(w.created(), 1), deposit(w.created(), 1)}
		r := w.owning(withFaults(func(simtest.Call) simtest.Fault {
			for range random.n(5) {
				runtime.Gosched()
			}
			return []simtest.Fault{simtest.None, simtest.None, simtest.None, simtest.CutOff}[random.n(4)]
		}))
		var beside sync.WaitGroup
		beside.Go(func() {
			for range 30 {
				if _, err := r.journal.Write(deposit(ids[random.n(2)].WalletID, 1)); err != nil {
					t.Error(err)
				}
			}
		})
		for range 5 {
			op := deposit(ids[random.n(2)].WalletID, 1)
			beside.Go(func() { _, _ = r.tryDirect(context.Background(), op) }) // it may be refused: the end has come
		}
		for range random.n(200) {
			runtime.Gosched()
		}
		if random.n(2) == 0 {
			r.journal.Lose(0)
			r.journal.Own(0)
		}
		r.close()
		beside.Wait()
		w.clean()
	}
	goleak.VerifyNone(t, before)
}

func TestAClosedApplierTakesNothing(t *testing.T) {
	w := newMemoryWorld(t, 1)
	r, id := w.owning(), w.created()
	r.close()
	op := deposit(id, 1)
	if _, err := r.tryDirect(context.Background(), op); err == nil {
		t.Error("a direct operation was taken")
	}
	if _, err := r.Assigned(context.Background(), w.log.Topic, 0); err == nil || r.Owns(0) {
		t.Error("a partition was taken")
	}
	if b := w.books(); len(b.Operations) != 0 {
		t.Errorf("%+v", b.Operations)
	}
}

// What was taken and not begun is dropped; the next owner reads it again.
func TestARevokedPartitionFinishesItsRunningBatchAndNoMore(t *testing.T) {
	w := newMemoryWorld(t, 1)
	id := w.created()
	reached, open := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r := w.owning(commits(func(*wallet.Batch) simtest.Fault {
		once.Do(func() { close(reached); <-open })
		return simtest.None
	}))
	running, waiting := deposit(id, 1), deposit(id, 2)
	w.append(running)
	wait(t, "the batch is at its commit", reached)
	w.append(waiting)
	lost := make(chan struct{})
	go func() { defer close(lost); r.journal.Lose(0) }()
	eventually(t, "it is no owner any more", func() bool { return !r.Owns(0) })
	close(open)
	wait(t, "the partition is given up", lost)
	r.outcome(running)
	if b := w.books(); b.Offsets[0] != 1 || r.Owns(0) {
		t.Errorf("offset %d", b.Offsets[0])
	}
	next := w.owning()
	wantOutcome(t, next.outcome(waiting), wallet.Applied, wallet.NoReason, 2, 3)
	w.settle()
}

// locked is a source of randomness that goroutines share.
type locked struct {
	mu sync.Mutex
	*rand.Rand
}

func (l *locked) n(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.IntN(n)
}
