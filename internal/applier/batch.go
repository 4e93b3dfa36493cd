package applier

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// batch is one transaction in the making: the outcomes of its records, computed
// in order from the accounts' states. Nothing in it is true before the commit.
type batch struct {
	wallet.Batch
	records []wallet.Record
	at      time.Time
	origin  wallet.Origin
	limits  Limits
	lanes   map[uuid.UUID]*lane       // locked by whoever makes the batch
	lists   map[uuid.UUID]wallet.List // of the partition; nil for the direct way
	aside   map[uuid.UUID]refusal
	results []wallet.Result

	accounts map[uuid.UUID]*account
	decided  map[wallet.Key]*wallet.Operation // those the ledger has, and those of this batch
}

// newBatch begins a batch of the records, with room for what they ask for.
func newBatch(at time.Time, records []wallet.Record, lanes map[uuid.UUID]*lane, origin wallet.Origin, limits Limits) *batch {
	n := 0
	for i := range records {
		n += len(records[i].Operations)
	}
	b := &batch{records: records, at: at, lanes: lanes, origin: origin, limits: limits,
		accounts: make(map[uuid.UUID]*account, len(lanes)), decided: make(map[wallet.Key]*wallet.Operation, n)}
	b.Operations, b.results = make([]wallet.Operation, 0, n), make([]wallet.Result, 0, n)
	return b
}

// account is a wallet within one batch.
type account struct {
	id      uuid.UUID
	lane    *lane
	exists  bool
	created bool         // by this batch
	from    wallet.State // what the ledger has
	now     wallet.State // after the records so far
	list    *listing     // nil: nothing requeued
}

func (b *batch) account(id uuid.UUID) *account {
	a, ok := b.accounts[id]
	if !ok {
		ln := b.lanes[id]
		a = &account{id: id, lane: ln, exists: ln.cached, from: ln.state, now: ln.state}
		if head, ok := b.lists[id]; ok {
			a.list = &listing{head: head}
		}
		b.accounts[id] = a
	}
	return a
}

// reread is what a batch reads after a conflict, whatever its lanes have.
type reread struct {
	ids      bool // which of the records' operations the ledger has: an insert met a key
	versions bool // every wallet: a version had moved
}

// load reads what computing the records needs and the lanes do not have, in one statement:
// balances and versions; what is to be read again; and the lists that a copy among the
// records will apply, with their ids. It returns the wallets whose version was not what
// their lane had, and how many of the ids the ledger has.
func (b *batch) load(ctx context.Context, l Ledger, again reread) (moved []uuid.UUID, known int, err error) {
	q := b.query(again)
	if len(q.Wallets)+len(q.Operations)+len(q.Lists) == 0 {
		return nil, 0, nil
	}
	s, err := l.Read(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	return b.learn(q, s), len(s.Operations), nil
}

// query says what has to be read before the records can be computed.
func (b *batch) query(again reread) wallet.SnapshotQuery {
	q := wallet.SnapshotQuery{EntriesPerList: b.limits.ListPerCopy}
	seen := make(map[uuid.UUID]bool, len(b.lanes))
	for i := range b.records {
		r := &b.records[i]
		if r.Kind == wallet.KindPoison {
			continue
		}
		a := b.account(r.WalletID)
		because, aside := b.aside[a.id] // and reading it may be what is refused
		applies := a.list != nil && r.Attempt > a.list.head.Attempt && !aside
		if applies && !slices.Contains(q.Lists, a.id) {
			q.Lists = append(q.Lists, a.id)
		}
		joins := aside || a.list != nil && !applies // its records are passed untried
		if !seen[a.id] && !joins && (again.versions || applies || !a.lane.cached) {
			seen[a.id] = true
			q.Wallets = append(q.Wallets, a.id)
		}
		// The ledger normally has a backfilled operation already: it is looked up, instead of
		// inserted and refused as a key violation.
		if again.ids && r.Kind == wallet.KindOperations && !aside || r.Kind == wallet.KindBackfill && !because.unreadable {
			for _, op := range r.Operations {
				q.Operations = append(q.Operations, op.Key())
			}
		}
	}
	return q
}

// learn takes in what was read and returns the wallets whose version was not what
// their lane had.
func (b *batch) learn(q wallet.SnapshotQuery, s wallet.Snapshot) (moved []uuid.UUID) {
	for _, id := range q.Wallets {
		a, ln := b.account(id), b.lanes[id]
		state, ok := s.Wallets[id]
		if ln.cached && state.Sequence != ln.state.Sequence {
			moved = append(moved, id)
		}
		// That a wallet does not exist is not remembered: the next batch asks again.
		ln.state, ln.cached = state, ok
		a.exists, a.from, a.now = ok, state, state
	}
	for k, op := range s.Operations {
		b.decided[k] = &op
	}
	for _, id := range q.Lists {
		b.account(id).list.waiting = s.Entries[id]
	}
	return moved
}

// compute computes the records, in order, and completes the transaction: the wallets that
// moved, sorted by id, and the lists that changed.
func (b *batch) compute() *wallet.Batch {
	for i := range b.records {
		b.add(&b.records[i])
	}
	for _, a := range b.accounts {
		if a.now != a.from {
			b.Changes = append(b.Changes, wallet.Change{ID: a.id, FromSequence: a.from.Sequence, State: a.now, At: b.at})
		}
		if a.list != nil && a.list.changed {
			b.Lists = append(b.Lists, a.list.change())
		}
	}
	slices.SortFunc(b.Changes, func(x, y wallet.Change) int { return wallet.CompareIDs(x.ID, y.ID) })
	slices.SortFunc(b.Lists, func(x, y wallet.ListChange) int { return wallet.CompareIDs(x.WalletID, y.WalletID) })
	return &b.Batch
}

// add computes a record. One operation's refusal is its own outcome and changes
// nothing for its neighbours.
func (b *batch) add(r *wallet.Record) {
	if r.Kind == wallet.KindPoison {
		return
	}
	a := b.account(r.WalletID)
	if r.Kind == wallet.KindBackfill && r.Attempt == 0 { // a copy applies its list, whatever the ledger has
		if r = b.lacking(r); len(r.Operations) == 0 {
			return
		}
	}
	switch because, aside := b.aside[a.id]; {
	case aside:
		b.setAside(a, r, because.why)
	case a.list != nil && r.Attempt > 0:
		if r.Attempt > a.list.head.Attempt {
			b.applyList(a, r)
		}
	case a.list != nil:
		a.list.join(r)
	default:
		for i := range r.Operations {
			op := r.Operations[i]
			if r.Kind != wallet.KindBackfill {
				op.Receipt = r.Receipt
			}
			b.decide(a, r.Kind, op, r.Replica)
		}
	}
}

// lacking returns the part of a backfill record that the ledger lacks: none, unless
// the ledger was restored to before the operations were applied directly. Then they
// are applied now, for their outcomes were promised. Those that it has are told: if the
// answer to their commit was lost, nobody has told them yet.
func (b *batch) lacking(r *wallet.Record) *wallet.Record {
	lacks := *r
	lacks.Operations = nil
	for _, op := range r.Operations {
		if done := b.decided[op.Key()]; done != nil {
			b.results = append(b.results, wallet.Result{Operation: *done, Replica: r.Replica})
			continue
		}
		lacks.Operations = append(lacks.Operations, op)
	}
	return &lacks
}

// decide computes one operation, or the creation of the wallet.
func (b *batch) decide(a *account, kind wallet.Kind, op wallet.Operation, replica uuid.UUID) {
	if kind == wallet.KindCreate {
		if !a.exists {
			b.create(a, op.AcceptedAt)
			made := wallet.Operation{ID: op.ID, WalletID: a.id, AcceptedAt: op.AcceptedAt, AppliedAt: op.AcceptedAt, Status: wallet.Applied, Receipt: op.Receipt}
			b.results = append(b.results, wallet.Result{Operation: made, Replica: replica})
		}
		return
	}
	done := b.decided[op.Key()]
	if done == nil {
		// Known to exist, and not in the ledger: another replica has journaled its creation,
		// which the direct way cannot wait for.
		if !a.exists && b.origin == wallet.Direct && a.lane.exists.Load() {
			b.create(a, op.AcceptedAt)
		}
		if op.Origin = b.origin; kind == wallet.KindBackfill {
			op.Origin = wallet.Direct
		}
		if a.exists {
			a.now, op = wallet.Apply(a.now, op, b.at)
		} else {
			op = wallet.Refuse(op, b.at)
		}
		b.Operations = append(b.Operations, op)
		done = &b.Operations[len(b.Operations)-1] // which does not change any more
		b.decided[op.Key()] = done
	}
	b.results = append(b.results, wallet.Result{Operation: *done, Replica: replica})
}

func (b *batch) create(a *account, at time.Time) {
	a.exists, a.created = true, true
	b.Creates = append(b.Creates, wallet.Creation{ID: a.id, At: at, Direct: b.origin == wallet.Direct})
}

// advance moves the lanes to what is now known to be committed.
func (b *batch) advance() {
	for _, a := range b.accounts {
		if a.exists {
			a.lane.state, a.lane.cached = a.now, true
			a.lane.exists.Store(true)
		}
	}
}

// announcement is what others are to be told of the committed batch.
func (b *batch) announcement() wallet.Committed {
	c := wallet.Committed{Partition: wallet.NoPartition, Results: b.results}
	if b.Fence != nil {
		c.Partition, c.Next = b.Fence.Partition, b.Fence.To
	}
	for _, a := range b.accounts {
		if a.moved() {
			c.Wallets = append(c.Wallets, wallet.Wallet{ID: a.id, State: a.now, UpdatedAt: b.at})
		}
	}
	c.MaybeStale = wallet.Newest(b.repeated)
	return c
}

// repeated yields outcomes of wallets that did not move, which the ledger had by now:
// perhaps whoever committed them could tell nobody.
func (b *batch) repeated(yield func(wallet.Operation) bool) {
	for i := range b.results {
		if op := &b.results[i].Operation; !b.accounts[op.WalletID].moved() && !yield(*op) {
			return
		}
	}
}

func (a *account) moved() bool { return a.created || a.now != a.from }
