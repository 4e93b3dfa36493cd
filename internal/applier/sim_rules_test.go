package applier_test

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// What a batch may be, whatever the ledger answers: rules that the books alone do
// not show, because the ledger's conditions make up for a breach.

// checkLanes checks that the member holds the lanes of what it is about to commit,
// and has computed from what the ledger has told it.
func (p port) checkLanes(b *wallet.Batch) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	for _, c := range b.Changes {
		created := slices.ContainsFunc(b.Creates, func(n wallet.Creation) bool { return n.ID == c.ID })
		if l := p.lanes[c.ID]; l == nil || !l.held {
			p.s.broken = append(p.s.broken, p.String()+" decides "+walletName(c.ID)+" without holding its lane")
		}
		if !created && !p.knows[version{c.ID, c.FromSequence}] {
			p.s.broken = append(p.s.broken, p.String()+" decides "+walletName(c.ID)+" from what the ledger never told it")
		}
	}
}

// version is a state in which a member has known a wallet.
type version struct {
	wallet   uuid.UUID
	sequence int64
}

func (p port) learn(s wallet.Snapshot) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	for id, state := range s.Wallets {
		p.knows[version{id, state.Sequence}] = true
	}
}

func (p port) learnCommitted(b *wallet.Batch) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	for _, c := range b.Creates {
		p.knows[version{c.ID, 0}] = true
	}
	for _, c := range b.Changes {
		p.knows[version{c.ID, c.Sequence}] = true
	}
}

// checkLists checks that only a copy of a later attempt has a list tried, and that
// one that is refused waits longer.
func (p port) checkLists(b *wallet.Batch) {
	if b.Fence == nil || p.s.ledger.Next(b.Fence.Partition) != b.Fence.From {
		return // it will be fenced
	}
	for _, c := range b.Lists {
		was, ok := p.s.ledger.List(c.WalletID)
		if ok && (len(c.Taken) > 0 || c.Length == 0) && c.Attempt <= was.Attempt {
			p.s.found("the list of %s is applied by a copy of attempt %d, it has met %d", walletName(c.WalletID), c.Attempt, was.Attempt)
		}
		if c.Refusals > was.Refusals && !p.at(c.NotBefore.Add(-backoff(c.Refusals))) {
			p.s.found("the list of %s was refused %d times and does not wait for that long", walletName(c.WalletID), c.Refusals)
		}
	}
}

// backoff is how long a list waits after so many refusals.
func backoff(refusals int) time.Duration {
	l := limits()
	return min(l.MinRequeueDelay<<refusals, l.MaxRequeueDelay)
}

// now is the member's clock.
func (m *member) now() time.Time {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	now := time.Now()
	m.times[now.UnixMicro()] = true
	return now
}

// at reports whether the member has looked at its clock then.
func (m *member) at(t time.Time) bool {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	return m.times[t.UnixMicro()]
}

// listed notes what is requeued.
func (p port) listed(b *wallet.Batch) {
	for _, c := range b.Lists {
		for _, e := range c.Append {
			p.s.listed[e.Key()] = true
		}
	}
}

// known checks that what is told is true at that moment, not only in the end.
func (s *sim) known(results []wallet.Result) {
	for _, r := range results {
		if r.ID == r.WalletID { // a creation
			if _, ok := s.ledger.Books().Wallets[r.ID]; !ok {
				s.found("the creation of %s is told, the ledger does not have it", walletName(r.ID))
			}
			continue
		}
		if op, ok := s.ledger.Operation(r.Key()); !ok || op.Status != r.Status {
			s.found("%s is told as %s, the ledger has it: %t", opName(r.ID), r.Status, ok)
		}
	}
}

// overtaken checks the direct way's order: what its replica had acknowledged before
// comes before it. Beyond the bound of what a replica keeps, a requeued operation
// has been passed, which lets the direct way go on.
func (s *sim) overtaken(b simtest.Books) {
	for k, earlier := range s.behind {
		op := b.Operations[k]
		for _, e := range earlier {
			before := b.Operations[e]
			if s.tight && s.listed[e] {
				continue
			}
			if op.Origin == wallet.Direct && before.Sequence > op.Sequence && op.Sequence > 0 {
				s.found("%s %s: the direct way applied it as %d, before %s, which the replica had acknowledged, as %d",
					walletName(k.WalletID), opName(k.ID), op.Sequence, opName(e.ID), before.Sequence)
			}
		}
	}
}
