package simtest

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Audit judges books against the journal they were made from, by rules of its
// own: it uses nothing of what decides operations. The invariants are those of
// ARCHITECTURE.md.
type Audit struct {
	Log    *Log
	Books  Books
	Direct map[wallet.Key]bool // handed to the direct way, whatever it answered
	Told   []*Told
	// Settled says that everything must have come to its end: every record passed,
	// no list left, every direct operation in the journal.
	Settled bool

	faults []string
}

// Faults returns everything that is wrong.
func (a *Audit) Faults() []string {
	a.faults = nil
	firsts, order := a.firsts()
	a.numbers()
	a.requests(firsts)
	a.order(order)
	a.passed(firsts)
	a.told()
	if a.Settled {
		a.settled()
	}
	return a.faults
}

func (a *Audit) fault(format string, args ...any) {
	a.faults = append(a.faults, fmt.Sprintf(format, args...))
}

// firsts returns where each operation is met first in the journal, and for each
// wallet the order of these.
func (a *Audit) firsts() (firsts map[wallet.Key]wallet.Operation, order map[uuid.UUID][]wallet.Key) {
	firsts, order = map[wallet.Key]wallet.Operation{}, map[uuid.UUID][]wallet.Key{}
	for p := range a.Log.Partitions() {
		for _, rec := range a.Log.Records(int32(p)) {
			if rec.Kind != wallet.KindOperations || rec.Attempt > 0 {
				continue
			}
			for _, op := range rec.Operations {
				if _, ok := firsts[op.Key()]; !ok {
					op.Receipt = rec.Receipt
					firsts[op.Key()] = op
					order[op.WalletID] = append(order[op.WalletID], op.Key())
				}
			}
		}
	}
	return firsts, order
}

// numbers checks each wallet's arithmetic (invariants 1 and 5).
func (a *Audit) numbers() {
	byWallet := map[uuid.UUID][]wallet.Operation{}
	for k, op := range a.Books.Operations {
		if k != op.Key() {
			a.fault("operation %s is kept as %v", op.ID, k)
		}
		if op.Reason == wallet.WalletMissing {
			if op.Status != wallet.Failed || op.Sequence != 0 || op.BalanceAfter != 0 {
				a.fault("operation %s of no wallet: %+v", op.ID, op)
			}
			continue
		}
		byWallet[op.WalletID] = append(byWallet[op.WalletID], op)
	}
	for id := range byWallet {
		if _, ok := a.Books.Wallets[id]; !ok {
			a.fault("wallet %s has operations and is not there", id)
		}
	}
	for id, state := range a.Books.Wallets {
		a.number(id, state, byWallet[id])
	}
}

func (a *Audit) number(id uuid.UUID, state wallet.State, ops []wallet.Operation) {
	slices.SortFunc(ops, func(x, y wallet.Operation) int { return cmp.Compare(x.Sequence, y.Sequence) })
	balance := new(big.Int)
	largest := big.NewInt(1<<53 - 1)
	for i, op := range ops {
		if op.Sequence != int64(i+1) {
			a.fault("wallet %s: sequence %d stands at place %d", id, op.Sequence, i+1)
			return
		}
		after := new(big.Int).Set(balance)
		status, reason := wallet.Applied, wallet.NoReason
		if op.Type == wallet.Deposit {
			after.Add(after, big.NewInt(int64(op.Amount)))
		} else {
			after.Sub(after, big.NewInt(int64(op.Amount)))
		}
		switch {
		case after.Sign() < 0:
			status, reason, after = wallet.Failed, wallet.InsufficientFunds, balance
		case after.Cmp(largest) > 0:
			status, reason, after = wallet.Failed, wallet.BalanceOverflow, balance
		}
		if op.Status != status || op.Reason != reason || after.Cmp(big.NewInt(int64(op.BalanceAfter))) != 0 {
			a.fault("wallet %s: operation %d is %s %q with balance %d, has to be %s %q with %s", id, op.Sequence, op.Status, op.Reason, op.BalanceAfter, status, reason, after)
		}
		balance = after
	}
	if state.Sequence != int64(len(ops)) || balance.Cmp(big.NewInt(int64(state.Balance))) != 0 {
		a.fault("wallet %s is at %+v, its %d operations make %s", id, state, len(ops), balance)
	}
}

// requests checks that nothing is in the ledger that nobody asked for (invariant 2).
func (a *Audit) requests(firsts map[wallet.Key]wallet.Operation) {
	for k, op := range a.Books.Operations {
		first, journaled := firsts[k]
		switch {
		case !journaled && !a.Direct[k]:
			a.fault("operation %s was never accepted", k.ID)
		case journaled && !a.Direct[k] && !op.SameRequest(first) && (op.Origin != wallet.Direct || !a.asked(op)):
			a.fault("operation %s is %s %d, asked was %s %d", k.ID, op.Type, op.Amount, first.Type, first.Amount)
		case op.Origin == wallet.FromJournal && op.Receipt != first.Receipt:
			a.fault("operation %s says it is at %+v, it is at %+v", k.ID, op.Receipt, first.Receipt)
		}
	}
}

// asked reports whether some record asks for just this: of two requests under one
// key the direct way may apply the later, whose replica does not know the other.
func (a *Audit) asked(op wallet.Operation) bool {
	return slices.ContainsFunc(a.Log.Records(a.Log.PartitionOf(op.WalletID)), func(rec wallet.Record) bool {
		return slices.ContainsFunc(rec.Operations, op.SameRequest)
	})
}

// order checks that what came by the journal was applied in its order (invariant 3).
func (a *Audit) order(order map[uuid.UUID][]wallet.Key) {
	for id, keys := range order {
		last := int64(0)
		for _, k := range keys {
			op, ok := a.Books.Operations[k]
			if !ok || op.Origin == wallet.Direct || op.Sequence == 0 {
				continue
			}
			if op.Sequence <= last {
				a.fault("wallet %s: operation %s has sequence %d, one before it in the journal %d", id, op.ID, op.Sequence, last)
			}
			last = op.Sequence
		}
	}
	for id, entries := range a.Books.Entries {
		for i := 1; i < len(entries); i++ {
			if entries[i].Receipt.Offset < entries[i-1].Receipt.Offset {
				a.fault("wallet %s: its list is not in journal order", id)
			}
		}
	}
}

// passed checks that every record before the offset is applied, requeued or
// dead-lettered, and none after it (invariant 6).
func (a *Audit) passed(firsts map[wallet.Key]wallet.Operation) {
	listed := map[wallet.Key]bool{}
	for _, entries := range a.Books.Entries {
		for _, e := range entries {
			listed[e.Key()] = true
		}
	}
	dead := map[wallet.Receipt]bool{}
	for _, rec := range a.Log.Dead() {
		dead[rec.Receipt] = true
	}
	for p := range a.Log.Partitions() {
		next := a.Books.Offsets[int32(p)]
		for _, rec := range a.Log.Records(int32(p)) {
			if rec.Receipt.Offset >= next {
				break
			}
			a.passedOne(&rec, listed, dead)
		}
	}
	for k, first := range firsts {
		op, ok := a.Books.Operations[k]
		if ok && op.Origin == wallet.FromJournal && first.Receipt.Offset >= a.Books.Offsets[first.Receipt.Partition] {
			a.fault("operation %s at %+v is applied, the offset is %d", k.ID, first.Receipt, a.Books.Offsets[first.Receipt.Partition])
		}
	}
}

func (a *Audit) passedOne(rec *wallet.Record, listed map[wallet.Key]bool, dead map[wallet.Receipt]bool) {
	switch rec.Kind {
	case wallet.KindPoison:
		if !dead[rec.Receipt] {
			a.fault("poison at %+v is passed and is no dead letter", rec.Receipt)
		}
	case wallet.KindCreate:
		if _, ok := a.Books.Wallets[rec.WalletID]; !ok && !listed[wallet.Key{WalletID: rec.WalletID, ID: rec.WalletID}] {
			a.fault("creation of %s at %+v is lost", rec.WalletID, rec.Receipt)
		}
	case wallet.KindOperations:
		for _, op := range rec.Operations {
			if _, ok := a.Books.Operations[op.Key()]; !ok && !listed[op.Key()] {
				a.fault("operation %s at %+v is lost", op.ID, rec.Receipt)
			}
		}
	}
}

// told checks that nobody was told anything but what the ledger has.
func (a *Audit) told() {
	for _, t := range a.Told {
		a.faults = append(a.faults, t.Faults()...)
		for k, op := range t.Outcomes() {
			if _, made := a.Books.Wallets[k.WalletID]; made && k.ID == k.WalletID {
				continue // a creation
			}
			if has, ok := a.Books.Operations[k]; !ok || !same(has, op) {
				a.fault("operation %s: told %+v, the ledger has %+v (%t)", k.ID, op, has, ok)
			}
		}
	}
}

// same compares operations by their instants: a time has also a zone.
func same(a, b wallet.Operation) bool {
	equal := a.AppliedAt.Equal(b.AppliedAt) && a.AcceptedAt.Equal(b.AcceptedAt)
	a.AppliedAt, a.AcceptedAt = b.AppliedAt, b.AcceptedAt
	return equal && a == b
}

func (a *Audit) settled() {
	for p := range a.Log.Partitions() {
		if next, end := a.Books.Offsets[int32(p)], a.Log.End(int32(p)); next != end {
			a.fault("partition %d is at %d, the journal ends at %d", p, next, end)
		}
	}
	for id, entries := range a.Books.Entries {
		a.fault("wallet %s: %d operations are still requeued", id, len(entries))
	}
	backfilled := map[wallet.Key]wallet.Operation{}
	for p := range a.Log.Partitions() {
		for _, rec := range a.Log.Records(int32(p)) {
			if rec.Kind == wallet.KindBackfill && rec.Attempt == 0 { // a copy is of what its list has
				for _, op := range rec.Operations {
					backfilled[op.Key()] = op
				}
			}
		}
	}
	for k, op := range a.Books.Operations {
		if got := backfilled[k]; op.Origin == wallet.Direct && !same(got, op) {
			a.fault("direct operation %s: its backfill record says %+v, the ledger %+v", k.ID, got, op)
		}
	}
}
