package applier_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

var (
	simSeed = flag.Uint64("sim.seed", 0, "replay the simulation of this seed; 0 draws new ones")
	simRuns = flag.Int("sim.runs", 150, "number of simulations, each with a seed of its own")
)

// TestSimulation runs random loads through several replicas over a ledger in
// memory that fails at random, and has the auditor judge the books. Time is
// simulated. A seed gives the same load and the same faults in the order of the
// calls; what the scheduler does between them may differ.
func TestSimulation(t *testing.T) {
	for range *simRuns {
		seed := *simSeed
		if seed == 0 {
			seed = rand.Uint64()
		}
		name := fmt.Sprintf("sim.seed=%d", seed)
		synctest.Test(t, func(t *testing.T) { newSimulation(t, name, seed).run() })
		if t.Failed() {
			t.Fatalf("replay with -%s", name)
		}
	}
}

// simulation is one run: its wishes are drawn at its start, its faults as calls come.
type simulation struct {
	*world
	name    string
	random  *locked
	wallets []uuid.UUID
	faults  float64     // share of the ledger's calls that end in one
	calm    atomic.Bool // no more faults: everything has to come to its end
	alive   []*member
}

// member is a replica with the requests that it serves.
type member struct {
	*replica
	dead  atomic.Bool // killed: nothing of it reaches the ledger or the journal
	calls sync.WaitGroup
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

func (l *locked) chance(p float64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Float64() < p
}

func newSimulation(t *testing.T, name string, seed uint64) *simulation {
	random := &locked{Rand: rand.New(rand.NewPCG(seed, 1))}
	s := &simulation{world: newMemoryWorld(t, 1+random.n(3)), name: name, random: random, faults: float64(random.n(40)) / 100}
	for range 1 + random.n(6) {
		s.wallets = append(s.wallets, s.id())
	}
	for range 1 + random.n(3) {
		s.alive = append(s.alive, s.member())
	}
	return s
}

// member starts a replica whose bounds are reached all the time.
func (s *simulation) member() *member {
	m := &member{}
	m.replica = s.replica(withFaults(func(c simtest.Call) simtest.Fault { return s.fault(m, c) }), withLimits(func(l *applier.Limits) {
		l.BatchOperations, l.QueueOperations = 1+s.random.n(20), 5+s.random.n(40)
		l.ListPerCopy, l.Lanes, l.UnsettledPerWallet = 1+s.random.n(5), 1+s.random.n(6), 1+s.random.n(10)
		l.DirectTries = 5
	}))
	m.journal.Fetch = 1 + s.random.n(10)
	return m
}

// end closes a member, as on SIGTERM: its requests are answered first. One that is
// killed has nothing more written from one moment on.
func (m *member) end(killed bool) {
	if killed {
		m.dead.Store(true)
		m.journal.Refuse(func(wallet.Record) error { return wallet.ErrUnacknowledged })
	}
	m.calls.Wait()
	m.close()
}

// id is a random one that the seed decides.
func (s *simulation) id() (id uuid.UUID) {
	for i := range id {
		id[i] = byte(s.random.n(256))
	}
	return id
}

var faultsOf = map[string][]simtest.Fault{
	"Commit": {simtest.Fenced, simtest.Conflict, simtest.Serialization, simtest.Locked, simtest.Refused, simtest.CutOff, simtest.LostAnswer},
}

func (s *simulation) fault(m *member, c simtest.Call) simtest.Fault {
	// What runs beside this call gets its chance at every call.
	for range s.random.n(3) {
		runtime.Gosched()
	}
	if m.dead.Load() {
		return simtest.CutOff
	}
	if s.calm.Load() || !s.random.chance(s.faults) {
		return simtest.None
	}
	faults, ok := faultsOf[c.Method]
	if !ok {
		faults = []simtest.Fault{simtest.CutOff, simtest.Serialization}
	}
	fault := faults[s.random.n(len(faults))]
	if fault == simtest.Fenced && c.Batch.Fence == nil {
		return simtest.None
	}
	return fault
}

func (s *simulation) run() {
	for _, id := range s.wallets {
		if s.random.n(4) > 0 {
			s.log.Append(create(id))
		}
	}
	for range 20 + s.random.n(100) {
		s.step()
	}
	s.finish()
}

// step does one random thing.
func (s *simulation) step() {
	i := s.random.n(len(s.alive))
	r := s.alive[i]
	partition := int32(s.random.n(s.log.Partitions()))
	switch s.random.n(12) {
	case 0:
		r.journal.Lose(partition)
		r.journal.Own(partition)
	case 1:
		r.journal.Lose(partition)
	case 2:
		// A replica ends and another one starts: nothing of it is known any more.
		r.end(s.random.n(2) == 0)
		s.alive[i] = s.member()
	case 3:
		s.log.Append(create(s.wallets[s.random.n(len(s.wallets))]))
	case 4:
		s.log.AppendTo(partition, wallet.Record{Kind: wallet.KindPoison, Poison: &wallet.Poison{}})
	case 5:
		s.elapse(time.Duration(s.random.n(200)) * time.Millisecond)
	case 6, 7:
		op := s.operation()
		r.calls.Go(func() { s.goDirect(r.replica, op) })
	default:
		s.write(r.replica)
	}
}

// goDirect hands an operation to the direct way, and perhaps to the journal too:
// a late record.
func (s *simulation) goDirect(r *replica, op wallet.Operation) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if s.random.n(3) == 0 {
		s.append(op)
	}
	done, err := r.tryDirect(ctx, op)
	if err == nil && done.Status == wallet.Pending {
		s.t.Errorf("%s: the direct way answered without an outcome: %+v", s.name, done)
	}
}

// write journals a record of one wallet, now and then with an operation that was
// journaled before or whose id is another's.
func (s *simulation) write(r *replica) {
	ops := []wallet.Operation{s.operation()}
	for range s.random.n(4) {
		op := s.operation()
		op.WalletID = ops[0].WalletID
		ops = append(ops, op)
	}
	if s.random.n(4) == 0 {
		ops = append(ops, ops[s.random.n(len(ops))])
	}
	if past := s.log.Records(s.log.PartitionOf(ops[0].WalletID)); s.random.n(4) == 0 && len(past) > 0 {
		if old := past[s.random.n(len(past))]; old.Kind == wallet.KindOperations && old.Attempt == 0 {
			ops = old.Operations
		}
	}
	if s.random.n(5) == 0 {
		s.append(ops...) // acknowledged to a replica that is gone by now
		return
	}
	if _, err := r.journal.Write(ops...); err != nil {
		s.t.Error(err)
	}
}

func (s *simulation) operation() wallet.Operation {
	op := deposit(s.wallets[s.random.n(len(s.wallets))], wallet.Amount(1+s.random.n(100)))
	op.ID = s.id()
	switch s.random.n(8) {
	case 0, 1, 2:
		op.Type = wallet.Withdraw
	case 3:
		op.Amount = wallet.MaxAmount - wallet.Amount(s.random.n(50))
	}
	return op
}

// elapse lets simulated time pass.
func (s *simulation) elapse(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// finish lets everything come to its end, without faults, and audits.
func (s *simulation) finish() {
	s.elapse(time.Second)
	s.calm.Store(true)
	last := s.replica()
	for p := range s.log.Partitions() {
		last.journal.Own(int32(p))
	}
	for waited := 0; !s.settled(); waited++ {
		if waited == 1000 {
			break
		}
		s.elapse(100 * time.Millisecond)
	}
	for _, m := range s.alive {
		m.end(false)
	}
	last.close()
	for _, fault := range s.audit(true) {
		s.t.Errorf("%s: %s", s.name, fault)
	}
}
