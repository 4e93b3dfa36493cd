package applier_test

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// What may happen beside the replicas' own calls.

// any is one of the living members.
func (s *sim) any() *member { return s.members[s.draw(len(s.members))] }

func (s *sim) wallet() uuid.UUID { return s.wallets[s.draw(len(s.wallets))] }

func (s *sim) operation(id uuid.UUID) wallet.Operation {
	s.numbers++
	op := wallet.Operation{
		ID: uuid.UUID{0: operationMark, 14: byte(s.numbers >> 8), 15: byte(s.numbers)}, WalletID: id,
		Type: wallet.Deposit, Amount: wallet.Amount(1 + s.draw(9)), AcceptedAt: epoch, Receipt: wallet.NoReceipt,
	}
	switch s.draw(8) {
	case 5:
		// What there is, or one more: the edge.
		has := s.ledger.Books().Wallets[id].Balance
		op.Type, op.Amount = wallet.Withdraw, min(max(1, has+wallet.Amount(s.draw(2))), wallet.MaxAmount)
	case 6:
		op.Type = wallet.Withdraw
	case 7:
		op.Amount = wallet.MaxAmount - op.Amount
	}
	return op
}

// submit hands a record to a producer: new operations of one wallet, now and then
// one of them twice, an older record again, a key used for another amount, or a
// creation. Or the acknowledgement of one that is on its way is given up.
func (s *sim) submit() {
	if len(s.writes) > 0 && s.chance(20) {
		s.abandon(s.writes[s.draw(len(s.writes))])
		return
	}
	m, id := s.any(), s.wallet()
	rec := simtest.Record(uuid.UUID{0: byte(m.n)}, s.operation(id))
	switch s.draw(8) {
	case 3:
		rec.Operations = append(rec.Operations, s.operation(id))
	case 4:
		rec.Operations = append(rec.Operations, s.operation(id), rec.Operations[0])
	case 5, 6:
		if len(s.sent) > 0 {
			old := s.sent[s.draw(len(s.sent))]
			rec.WalletID, rec.Kind, rec.Operations = old.WalletID, old.Kind, slices.Clone(old.Operations)
			if s.chance(30) && rec.Kind == wallet.KindOperations {
				rec.Operations[0].Amount++
			}
		}
	case 7:
		rec.Kind, rec.Operations = wallet.KindCreate, create(id).Operations
	}
	s.sent = append(s.sent, rec)
	s.writes = append(s.writes, &write{of: m, rec: rec})
	s.steps++
	s.tell("%s sends %s", m, recordText(rec))
}

// abandon is what a client's replica does when the acknowledgement does not come:
// the direct way. The record lands later, or never, or it has landed.
func (s *sim) abandon(w *write) {
	if w.abandoned {
		return
	}
	w.abandoned = true
	lost := false
	switch s.draw(3) {
	case 1:
		w.mute, lost = true, w.landed
	case 2:
		lost = true
	}
	s.tell("%s gives up %s (landed: %t, lost: %t, late: %t)", w.of, recordText(w.rec), w.landed, lost, !w.mute)
	if lost {
		s.writes = slices.DeleteFunc(s.writes, func(o *write) bool { return o == w })
	}
	if w.rec.Kind != wallet.KindOperations || w.of.dead {
		return
	}
	if s.draw(2) == 1 {
		w.of.goDirect(time.Minute, w.rec.Operations...) // as a request of many
		return
	}
	for _, op := range w.rec.Operations {
		w.of.goDirect(time.Minute, op)
	}
}

func (s *sim) pass() {
	d := []time.Duration{5, 2, 25, 200}[s.draw(4)] * time.Millisecond
	s.tell("%s pass", d)
	time.Sleep(d)
}

func (s *sim) goDirect() {
	id := s.wallet()
	ops := []wallet.Operation{s.operation(id)}
	if s.draw(4) == 3 {
		ops = append(ops, s.operation(id))
	}
	s.any().goDirect([]time.Duration{time.Minute, time.Millisecond}[s.draw(2)], ops...)
}

func (s *sim) rebalance() {
	m, p := s.any(), int32(s.draw(s.log.Partitions()))
	if s.draw(2) == 0 {
		m.lose(p, s.draw(4) == 3)
	} else {
		m.own(p)
	}
}

// replace ends a member, by a signal or in the middle of whatever it does, and
// starts another one.
func (s *sim) replace() {
	m := s.any()
	if s.draw(3) < 2 {
		m.crash()
	} else {
		s.tell("%s is stopped", m)
		s.leave(m)
	}
	next := s.member()
	for p := range s.log.Partitions() {
		next.own(int32(p))
	}
}

// foreign moves a wallet past every lane.
func (s *sim) foreign() {
	id := s.wallet()
	state, ok := s.ledger.Books().Wallets[id]
	if !ok {
		return
	}
	op := s.operation(id)
	op.Origin = wallet.Direct
	after, op := wallet.Apply(state, op, epoch)
	s.direct[op.Key()] = true
	s.tell("a foreigner writes %s %s", walletName(id), opText(op))
	s.must(&wallet.Batch{Changes: []wallet.Change{{ID: id, FromSequence: state.Sequence, State: after, At: epoch}}, Operations: []wallet.Operation{op}})
}

func (s *sim) hold() {
	id := s.wallet()
	s.held[id] = !s.held[id]
	s.tell("%s is held locked: %t", walletName(id), s.held[id])
}

func (s *sim) refuse() {
	id := s.wallet()
	s.refused[id] = !s.refused[id]
	s.tell("%s is refused: %t", walletName(id), s.refused[id])
}

func (s *sim) poison() {
	rec := s.log.AppendTo(int32(s.draw(s.log.Partitions())), wallet.Record{Kind: wallet.KindPoison, Poison: &wallet.Poison{}})
	s.tell("journal gets %s", recordText(rec))
}

func (s *sim) reconcile() { s.any().reconcile() }

func (s *sim) meet() { s.any().meet(s.wallet()) }

// handed notes an operation of the direct way, and what must not come after it if it
// goes that way only.
func (s *sim) handed(m *member, op wallet.Operation) {
	journaled := slices.ContainsFunc(s.sent, func(rec wallet.Record) bool {
		return slices.ContainsFunc(rec.Operations, func(o wallet.Operation) bool { return o.ID == op.ID })
	})
	if !journaled {
		s.behind[op.Key()] = slices.Clone(m.acked[op.WalletID])
	}
	s.direct[op.Key()] = true
}

// answered notes what a caller was told.
func (s *sim) answered(asked, done []wallet.Operation) {
	if len(done) != len(asked) {
		s.found("%d operations went direct, %d are answered", len(asked), len(done))
	}
	results := make([]wallet.Result, len(done))
	for i, op := range done {
		results[i].Operation = op
	}
	s.answers.Announce(context.Background(), wallet.Committed{Partition: wallet.NoPartition, Results: results})
	s.known(results)
}
