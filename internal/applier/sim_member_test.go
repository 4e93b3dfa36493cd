package applier_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// member is a replica. It shares nothing with the others but the journal and the
// ledger; each believes what its own calls tell it.
type member struct {
	*applier.Applier
	s       *sim
	n       int
	dead    bool // killed: nothing of it reaches anybody
	told    *simtest.Told
	fetch   int // records of one fetch
	readers map[int32]*reader
	lanes   map[uuid.UUID]*laneLock
	acked   map[uuid.UUID][]wallet.Key // of operations, since it started
	knows   map[version]bool           // what the ledger has told it
	times   map[int64]bool             // when it looked at its clock, in microseconds
	running sync.WaitGroup             // its requests and changes of ownership
}

// String is a member's name in a trace.
func (m *member) String() string { return fmt.Sprintf("r%d", m.n) }

// reader is a partition that a member owns, or begins or ceases to.
type reader struct {
	next            int64
	owned, leaving  bool
	paused, resumed bool
	cancel          context.CancelFunc
	begun           chan struct{} // closed when Assigned has returned
}

// member starts a replica whose bounds are reached all the time.
func (s *sim) member() *member {
	m := &member{
		s: s, n: s.started, told: simtest.NewTold(), fetch: 1 + s.draw(5), readers: map[int32]*reader{},
		lanes: map[uuid.UUID]*laneLock{}, acked: map[uuid.UUID][]wallet.Key{}, knows: map[version]bool{}, times: map[int64]bool{},
	}
	s.started++
	l := limits()
	l.BatchOperations, l.QueueOperations = 1+s.draw(8), 2+s.draw(10)
	l.ListPerCopy, l.DirectTries, l.Conflicts = 1+s.draw(4), 3, 2
	l.MaxYield = 0 // the simulation gives the turns
	if s.tight {
		l.UnsettledPerWallet = 3 + s.draw(4)
	}
	if s.chance(30) {
		l.Lanes = 1 + s.draw(2)
	}
	p := port{m}
	m.Applier = applier.New(applier.Config{Ledger: p, Journal: p, Announcer: p, Limits: l, Log: slog.New(slog.DiscardHandler),
		Registerer: prometheus.NewRegistry(), Now: m.now})
	m.LockLanesWith(func(id uuid.UUID) applier.Mutex {
		s.mu.Lock()
		defer s.mu.Unlock()
		m.lanes[id] = &laneLock{s: s, of: m, wallet: id}
		return m.lanes[id]
	})
	s.told = append(s.told, m.told)
	s.members = append(s.members, m)
	return m
}

// own has the member become the owner of a partition, if it is not.
func (m *member) own(partition int32) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{cancel: cancel, begun: make(chan struct{})}
	m.s.mu.Lock()
	taken := m.readers[partition] != nil
	if !taken {
		m.readers[partition] = r
	}
	m.s.mu.Unlock()
	if taken {
		cancel()
		return
	}
	m.s.tell("%s is assigned p%d", m, partition)
	m.running.Go(func() {
		defer close(r.begun)
		next, err := m.Assigned(ctx, m.s.log.Topic, partition)
		m.s.mu.Lock()
		defer m.s.mu.Unlock()
		r.next, r.owned = next, err == nil
	})
}

// lose ends the ownership of a partition, as a rebalance or a defect of its topic does.
func (m *member) lose(partition int32, halted bool) {
	m.s.mu.Lock()
	r := m.readers[partition]
	stays := r == nil || r.leaving
	if !stays {
		r.leaving = true
	}
	m.s.mu.Unlock()
	if stays {
		return
	}
	m.s.tell("%s is revoked p%d (halted: %t)", m, partition, halted)
	r.cancel()
	m.running.Go(func() {
		<-r.begun
		if halted {
			m.Halt(partition, errors.New("halted"))
		} else {
			m.Revoked(partition)
		}
		m.s.mu.Lock()
		defer m.s.mu.Unlock()
		delete(m.readers, partition)
	})
}

// fetches are the fetches that the member could make now.
func (m *member) fetches() (steps []*step) {
	for p := range int32(m.s.log.Partitions()) {
		r := m.reading(p)
		if r == nil {
			continue
		}
		records, _ := m.s.log.From(p, r.next, m.fetch)
		if len(records) == 0 {
			continue
		}
		detail := func() string { return fmt.Sprintf("p%d %d…%d", p, records[0].Receipt.Offset, r.next-1) }
		steps = append(steps, &step{of: m, what: "fetches", about: int(p), detail: detail, do: func(simtest.Fault) {
			r.next += int64(len(records))
			if !m.Fetched(p, records) {
				m.s.mu.Lock()
				r.paused, r.resumed = !r.resumed, false
				m.s.mu.Unlock()
			}
		}})
	}
	return steps
}

// reading is the reader of a partition that can be fetched from now.
func (m *member) reading(partition int32) *reader {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if r := m.readers[partition]; r != nil && r.owned && !r.leaving && !r.paused {
		return r
	}
	return nil
}

// acknowledge delivers the member's own record.
func (m *member) acknowledge(rec wallet.Record) {
	for _, op := range rec.Operations {
		if rec.Kind == wallet.KindOperations {
			m.acked[rec.WalletID] = append(m.acked[rec.WalletID], op.Key())
		}
	}
	m.Acknowledged(rec)
	m.Deliver(rec)
}

// goDirect hands operations of one wallet to the direct way.
func (m *member) goDirect(patience time.Duration, ops ...wallet.Operation) {
	rec := simtest.Record(uuid.Nil, ops...)
	m.s.tell("%s goes direct: %s", m, recordText(rec))
	for _, op := range ops {
		m.s.handed(m, op)
	}
	m.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done, err := m.Direct(ctx, ops...)
		m.s.park(&step{of: m, what: "answers", about: opNumber(ops[0].ID), detail: func() string { return opName(ops[0].ID) + answer(err) }, do: func(simtest.Fault) {
			if err == nil && !m.dead {
				m.s.answered(ops, done)
			}
		}})
	})
	m.s.quiet() // requests come one after the other
}

// reconcile has the member learn how far the ledger was a moment ago.
func (m *member) reconcile() {
	offsets := m.s.ledger.Books().Offsets
	m.s.tell("%s reconciles", m)
	m.running.Go(func() { _, _ = m.Reconcile(context.Background(), offsets) })
}

// meet has a request of the member look a wallet up, and the member hear of it later.
func (m *member) meet(id uuid.UUID) {
	state, ok := m.s.ledger.Books().Wallets[id]
	if !ok {
		return
	}
	port{m}.learn(wallet.Snapshot{Wallets: map[uuid.UUID]wallet.State{id: state}})
	m.s.tell("%s looks %s up, at sequence %d", m, walletName(id), state.Sequence)
	m.running.Go(func() {
		m.s.park(&step{of: m, what: "meets", about: walletNumber(id), detail: func() string { return walletName(id) }, do: func(simtest.Fault) {
			m.NoteState(wallet.Wallet{ID: id, State: state})
		}})
	})
}

// crash kills the member: each call under way has reached its goal or has not, and
// nothing that it knew is left.
func (m *member) crash() {
	m.s.tell("%s is killed", m)
	var ended []*step
	for _, st := range m.s.runnable() {
		if st.of != m || st.ready != nil {
			continue
		}
		f := []simtest.Fault{simtest.CutOff, simtest.LostAnswer}[m.s.draw(2)]
		st.do(f)
		m.s.note(st, f)
		ended = append(ended, st)
	}
	m.s.mu.Lock()
	m.dead = true
	m.s.parked = slices.DeleteFunc(m.s.parked, func(st *step) bool { return slices.Contains(ended, st) })
	m.s.mu.Unlock()
	for _, st := range ended {
		close(st.done)
	}
	m.s.leave(m)
}

// leave closes a member whose calls are served, or are of no account any more.
func (s *sim) leave(m *member) {
	s.members = slices.DeleteFunc(s.members, func(o *member) bool { return o == m })
	s.leaving = append(s.leaving, m)
	for p := range int32(s.log.Partitions()) {
		m.lose(p, false)
	}
	m.running.Go(m.Close)
}
