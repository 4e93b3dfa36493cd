package simtest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Ledger is a ledger in memory, with the refusals of the real one. It implements
// applier.Ledger. Safe for concurrent use.
type Ledger struct {
	topic uuid.UUID

	mu          sync.Mutex
	books       Books
	sequences   map[sequence]bool
	positions   int64
	lists       map[uuid.UUID]partitionList
	unjournaled []wallet.Key
}

type sequence struct {
	wallet uuid.UUID
	number int64
}

// partitionList is a requeued list's head with the partition that it is of.
type partitionList struct {
	wallet.List
	partition int32
}

// Books are everything that a ledger holds.
type Books struct {
	Wallets    map[uuid.UUID]wallet.State
	Operations map[wallet.Key]wallet.Operation
	Offsets    map[int32]int64
	Entries    map[uuid.UUID][]wallet.Entry // requeued, in order
}

// NewBooks returns empty books.
func NewBooks() Books {
	return Books{
		Wallets: map[uuid.UUID]wallet.State{}, Operations: map[wallet.Key]wallet.Operation{},
		Offsets: map[int32]int64{}, Entries: map[uuid.UUID][]wallet.Entry{},
	}
}

// NewLedger returns an empty ledger that follows a log.
func NewLedger(log *Log) *Ledger {
	l := &Ledger{topic: log.Topic, books: NewBooks(), sequences: map[sequence]bool{}, lists: map[uuid.UUID]partitionList{}}
	for p := range log.Partitions() {
		l.books.Offsets[int32(p)] = 0
	}
	return l
}

// Books returns a copy of everything.
func (l *Ledger) Books() Books {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := Books{Wallets: maps.Clone(l.books.Wallets), Operations: maps.Clone(l.books.Operations),
		Offsets: maps.Clone(l.books.Offsets), Entries: maps.Clone(l.books.Entries)}
	for k, v := range b.Entries {
		b.Entries[k] = slices.Clone(v)
	}
	return b
}

// Partition implements applier.Ledger.
func (l *Ledger) Partition(_ context.Context, topic uuid.UUID, partition int32) (wallet.Progress, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if topic != l.topic {
		return wallet.Progress{}, wallet.ErrTopicChanged
	}
	p := wallet.Progress{Next: l.books.Offsets[partition]}
	for _, list := range l.lists {
		if list.partition == partition {
			p.Lists = append(p.Lists, list.List)
		}
	}
	return p, nil
}

// Read implements applier.Ledger.
func (l *Ledger) Read(_ context.Context, q wallet.SnapshotQuery) (wallet.Snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := wallet.Snapshot{Wallets: map[uuid.UUID]wallet.State{}, Operations: map[wallet.Key]wallet.Operation{}, Entries: map[uuid.UUID][]wallet.Entry{}}
	for _, id := range q.Wallets {
		if state, ok := l.books.Wallets[id]; ok {
			s.Wallets[id] = state
		}
	}
	keys := slices.Clone(q.Operations)
	for _, id := range q.Lists {
		entries := l.books.Entries[id]
		entries = entries[:min(len(entries), q.EntriesPerList)]
		for _, e := range entries {
			keys = append(keys, e.Key())
		}
		if len(entries) > 0 {
			s.Entries[id] = slices.Clone(entries)
		}
	}
	for _, k := range keys {
		if op, ok := l.books.Operations[k]; ok {
			s.Operations[k] = op
		}
	}
	return s, nil
}

// Locked implements applier.Ledger: nobody holds a row of this one.
func (l *Ledger) Locked(context.Context, []uuid.UUID) ([]uuid.UUID, error) { return nil, nil }

// Due implements applier.Ledger.
func (l *Ledger) Due(_ context.Context, partition int32, at time.Time, most time.Duration, limit int) ([]wallet.ListHead, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var due []wallet.ListHead
	for id, list := range l.lists {
		if list.partition == partition && (!list.NotBefore.After(at) || list.NotBefore.After(at.Add(most))) && len(l.books.Entries[id]) > 0 {
			due = append(due, wallet.ListHead{List: list.List, First: l.books.Entries[id][0]})
		}
	}
	slices.SortFunc(due, func(a, b wallet.ListHead) int {
		return cmp.Or(a.NotBefore.Compare(b.NotBefore), slices.Compare(a.WalletID[:], b.WalletID[:]))
	})
	return due[:min(len(due), limit)], nil
}

// Unjournaled implements applier.Ledger.
func (l *Ledger) Unjournaled(_ context.Context, beyond uuid.UUID, limit int) ([]wallet.Key, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := slices.DeleteFunc(slices.Clone(l.unjournaled), func(k wallet.Key) bool {
		return slices.Compare(k.WalletID[:], beyond[:]) <= 0
	})
	slices.SortFunc(keys, func(a, b wallet.Key) int {
		return cmp.Or(slices.Compare(a.WalletID[:], b.WalletID[:]), cmp.Compare(l.books.Operations[a].Sequence, l.books.Operations[b].Sequence))
	})
	return keys[:min(len(keys), limit)], nil
}

// Backfills implements applier.Ledger.
func (l *Ledger) Backfills(_ context.Context, keys []wallet.Key) ([]wallet.Operation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ops := make([]wallet.Operation, len(keys))
	for i, k := range keys {
		ops[i] = l.books.Operations[k]
	}
	return ops, nil
}

// Journaled implements applier.Ledger.
func (l *Ledger) Journaled(_ context.Context, keys []wallet.Key) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unjournaled = slices.DeleteFunc(l.unjournaled, func(k wallet.Key) bool { return slices.Contains(keys, k) })
	return nil
}

// Lost implements applier.Ledger.
func (l *Ledger) Lost(_ context.Context, placed []wallet.Placed) (lost []wallet.Key, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range placed {
		_, applied := l.books.Operations[p.Key]
		if _, made := l.books.Wallets[p.WalletID]; made && p.ID == p.WalletID {
			continue
		}
		listed := slices.ContainsFunc(l.books.Entries[p.WalletID], func(e wallet.Entry) bool { return e.ID == p.ID })
		passed := !p.Receipt.Known() || p.Receipt.Offset < l.books.Offsets[p.Receipt.Partition]
		if passed && !applied && !listed {
			lost = append(lost, p.Key)
		}
	}
	return lost, nil
}

// Expect implements applier.Ledger: here batches have nothing in common.
func (l *Ledger) Expect(...wallet.ExpectedBatch) {}

// Commit implements applier.Ledger: first everything is checked, then everything
// is written.
func (l *Ledger) Commit(_ context.Context, b *wallet.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := b.Fence; f != nil && (f.Topic != l.topic || l.books.Offsets[f.Partition] != f.From) {
		return fmt.Errorf("%w: it is %d, not %d", wallet.ErrFenced, l.books.Offsets[f.Partition], f.From)
	}
	if err := l.check(b); err != nil {
		return err
	}
	l.write(b)
	return nil
}

func (l *Ledger) check(b *wallet.Batch) error {
	states := map[uuid.UUID]wallet.State{}
	for _, c := range b.Creates {
		_, ok := l.books.Wallets[c.ID]
		_, again := states[c.ID]
		if ok || again {
			return fmt.Errorf("%w: wallet %s is there", wallet.ErrConflict, c.ID)
		}
		states[c.ID] = wallet.State{}
	}
	for _, c := range b.Changes {
		state, ok := l.books.Wallets[c.ID]
		if created, is := states[c.ID]; is {
			state, ok = created, true
		}
		if !ok || state.Sequence != c.FromSequence {
			return fmt.Errorf("%w: wallet %s is at %d, not %d", wallet.ErrConflict, c.ID, state.Sequence, c.FromSequence)
		}
		if c.Balance < 0 || c.Balance > wallet.MaxAmount {
			return fmt.Errorf("%w: balance %d", wallet.ErrRefused, c.Balance)
		}
	}
	keys, numbers := map[wallet.Key]bool{}, map[sequence]bool{}
	for _, op := range b.Operations {
		_, ok := l.books.Operations[op.Key()]
		n := sequence{op.WalletID, op.Sequence}
		if ok || keys[op.Key()] || op.Sequence > 0 && (l.sequences[n] || numbers[n]) {
			return fmt.Errorf("%w: operation %s or its sequence is there", wallet.ErrConflict, op.ID)
		}
		keys[op.Key()], numbers[n] = true, true
	}
	return nil
}

func (l *Ledger) write(b *wallet.Batch) {
	if f := b.Fence; f != nil {
		l.books.Offsets[f.Partition] = f.To
	}
	for _, c := range b.Creates {
		l.books.Wallets[c.ID] = wallet.State{}
	}
	for _, c := range b.Changes {
		l.books.Wallets[c.ID] = c.State
	}
	for _, op := range b.Operations {
		l.books.Operations[op.Key()] = op
		if op.Sequence > 0 {
			l.sequences[sequence{op.WalletID, op.Sequence}] = true
		}
		if op.Origin == wallet.Direct && b.Fence == nil {
			l.unjournaled = append(l.unjournaled, op.Key())
		}
	}
	for _, c := range b.Lists {
		l.change(c, b.Fence.Partition)
	}
}

func (l *Ledger) change(c wallet.ListChange, partition int32) {
	entries := slices.DeleteFunc(slices.Clone(l.books.Entries[c.WalletID]), func(e wallet.Entry) bool { return slices.Contains(c.Taken, e.Position) })
	for _, e := range c.Append {
		l.positions++
		e.Position = l.positions
		entries = append(entries, e)
	}
	if c.Length == 0 {
		delete(l.lists, c.WalletID)
	} else {
		l.lists[c.WalletID] = partitionList{c.List, partition}
	}
	if len(entries) == 0 {
		delete(l.books.Entries, c.WalletID)
	} else {
		l.books.Entries[c.WalletID] = entries
	}
}

// Operation returns an operation as the ledger has it.
func (l *Ledger) Operation(k wallet.Key) (wallet.Operation, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	op, ok := l.books.Operations[k]
	return op, ok
}

// Next returns a partition's offset.
func (l *Ledger) Next(partition int32) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.books.Offsets[partition]
}

// List returns the head of a wallet's requeued list.
func (l *Ledger) List(id uuid.UUID) (wallet.List, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list, ok := l.lists[id]
	return list.List, ok
}

// Settled reports whether the log is passed, no list is left, and the log has every
// direct operation.
func (l *Ledger) Settled(log *Log) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range log.Partitions() {
		if l.books.Offsets[int32(p)] != log.End(int32(p)) {
			return false
		}
	}
	return len(l.lists) == 0 && len(l.books.Entries) == 0 && len(l.unjournaled) == 0
}
