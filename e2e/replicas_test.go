package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestWaitsOnTheOtherReplica sends to the replica that does not own the wallet's
// partition: with Redis the owner's message ends the wait, without it the ledger is
// asked.
func TestWaitsOnTheOtherReplica(t *testing.T) {
	s := startStack(t, 2)
	var ids []uuid.UUID
	for p := range int32(partitions) {
		ids = append(ids, s.walletIn(p))
	}
	measure := func(what string, bound time.Duration) {
		slowest, sum, n := time.Duration(0), time.Duration(0), 0
		for p, id := range ids {
			owner := s.owner(int32(p))
			for _, r := range s.replicas {
				if r == owner {
					continue
				}
				for range 15 {
					began := time.Now()
					a := r.submit(id, deposit, 1, "Prefer", "wait=10")
					took := time.Since(began)
					expect(t, a, 200)
					slowest, sum, n = max(slowest, took), sum+took, n+1
				}
			}
		}
		t.Logf("%s: %d waits for the other replica, %s on average, the slowest %s", what, n, (sum / time.Duration(n)).Round(time.Millisecond), slowest.Round(time.Millisecond))
		if slowest > bound {
			t.Errorf("%s: a wait took %s", what, slowest)
		}
	}
	measure("with Redis", 2*time.Second)
	s.redis.Kill()
	defer func() {
		if err := s.redis.Restart(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.replicas {
			r.ready()
		}
		measure("with Redis again", 2*time.Second)
		s.auditAll(nil, ids...)
	}()
	for _, r := range s.replicas {
		eventually(t, "Redis is missed", func() bool { h, err := r.health(); return err == nil && h.of("redis") == "down" })
	}
	measure("without Redis", 2*time.Second)
}

// TestAReplicaIsKilledUnderLoad kills one at random moments and starts it again;
// requests that it leaves without an answer are repeated with their key.
func TestAReplicaIsKilledUnderLoad(t *testing.T) {
	s := startStack(t, 2)
	ids := s.wallets(5)
	l := s.start(load{wallets: ids, rate: 200, repeat: true})
	random := rand.New(rand.NewPCG(l.seed, 1))
	const kills = 5
	for n := range kills {
		wait := 300*time.Millisecond + time.Duration(random.Int64N(int64(1200*time.Millisecond)))
		elapse(wait)
		victim := s.replicas[random.IntN(2)]
		victim.kill()
		killed := time.Now()
		if random.IntN(2) == 0 {
			elapse(time.Duration(random.Int64N(int64(time.Second))))
		}
		victim.start()
		t.Logf("kill %d: %s after %s, serves again %s later", n+1, victim.name, wait.Round(time.Millisecond), time.Since(killed).Round(time.Millisecond))
	}
	began := time.Now()
	for _, r := range s.replicas {
		r.ready()
	}
	s.shared(s.replicas...)
	t.Logf("the partitions are shared again %s after the last start", time.Since(began).Round(time.Millisecond))
	elapse(time.Second)
	sends := l.stop()
	t.Log(summary(sends))
	only(t, sends, 200, 202, 422)
	s.auditAll(sends)
}

// TestRollingRestart stops one replica after the other in order while requests go
// to those that are ready, as a load balancer sends them: whatever a replica has
// accepted is answered.
func TestRollingRestart(t *testing.T) {
	s := startStack(t, 2, "WALLETD_SHUTDOWN_DELAY=1s")
	ids := s.wallets(5)
	var ready [2]atomic.Bool
	balancer, stop := context.WithCancel(context.Background())
	defer stop()
	for i, r := range s.replicas {
		ready[i].Store(true)
		go func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				h, err := r.health()
				ready[i].Store(err == nil && h.code == 200)
				select {
				case <-tick.C:
				case <-balancer.Done():
					return
				}
			}
		}()
	}
	l := s.start(load{wallets: ids, rate: 200, dodge: true, to: func(n int) *replica {
		if i := n % 2; ready[i].Load() {
			return s.replicas[i]
		}
		return s.replicas[1-n%2]
	}})
	walked, walking := make(chan []*send), make(chan struct{})
	walker := s.wallet()
	go func() { // pairs, each operation after the other's 202, through who is ready
		var mine []*send
		defer func() { walked <- mine }()
		for n := 0; ; n++ {
			select {
			case <-walking:
				if n%2 == 0 {
					return
				}
			default:
			}
			r := s.replicas[n%2]
			if !ready[n%2].Load() {
				r = s.replicas[1-n%2]
			}
			x := &send{wallet: walker, key: fmt.Sprint("walk-", n), kind: []string{deposit, withdraw}[n%2], amount: 7, by: r.incarnation(), sent: time.Now()}
			x.answer = r.submit(walker, x.kind, 7, "Idempotency-Key", x.key, "Prefer", "respond-async")
			x.end = time.Now()
			mine = append(mine, x)
		}
	}()
	elapse(500 * time.Millisecond)
	for i, r := range s.replicas {
		began := time.Now()
		r.terminate()
		stopped := time.Since(began)
		r.start()
		eventually(t, r.name+" is ready", ready[i].Load)
		t.Logf("%s stopped within %s, ready again after %s", r.name, stopped.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		elapse(time.Second)
	}
	sends := l.stop()
	t.Log(summary(sends))
	only(t, sends, 200, 202, 422)
	close(walking)
	pairs := <-walked
	t.Logf("pairs: %s", summary(pairs))
	only(t, pairs, 200, 202)
	s.auditAll(append(sends, pairs...))
}
