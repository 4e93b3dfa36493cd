package audit

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// replay meets every record that the ledger's offsets had passed.
func (a *Audit) replay(ctx context.Context) error {
	return a.Journal.Replay(ctx, a.starts, a.bounds, func(records []wallet.Record) error {
		for len(records) > 0 {
			n := page(records)
			if err := a.meetAll(ctx, records[:n]); err != nil {
				return err
			}
			a.done.Add(int64(n))
			records = records[n:]
		}
		return nil
	})
}

// page returns how many of the records make a page: at least one.
func page(records []wallet.Record) (n int) {
	for operations := 0; n < len(records); n++ {
		if operations += len(records[n].Operations); n > 0 && operations > pageOperations {
			break
		}
	}
	return n
}

// meetAll looks the records up in the ledger, all as of one moment, and meets one
// after the other.
func (a *Audit) meetAll(ctx context.Context, records []wallet.Record) error {
	records = slices.DeleteFunc(slices.Clone(records), func(r wallet.Record) bool { return r.Kind != wallet.KindPoison && a.outside(r.WalletID) })
	q := query(records)
	s, err := again(ctx, func() (wallet.Snapshot, error) { return a.Ledger.Read(ctx, q) })
	if err != nil {
		return err
	}
	listed, from := map[wallet.Key]bool{}, map[wallet.Receipt][]wallet.Entry{}
	for _, entries := range s.Entries {
		for _, e := range entries {
			listed[e.Key()] = true
			from[e.Receipt] = append(from[e.Receipt], e)
		}
	}
	for i := range records {
		a.meetEntries(&records[i], from[records[i].Receipt])
		if err := a.meet(ctx, &records[i], &s, listed); err != nil {
			return err
		}
	}
	return nil
}

// maxListed is above what a requeued list may hold.
const maxListed = 100_000

func query(records []wallet.Record) wallet.SnapshotQuery {
	q := wallet.SnapshotQuery{EntriesPerList: maxListed}
	wallets := map[uuid.UUID]bool{}
	for _, r := range records {
		if r.Kind == wallet.KindPoison || wallets[r.WalletID] {
			continue
		}
		wallets[r.WalletID] = true
		q.Lists, q.Wallets = append(q.Lists, r.WalletID), append(q.Wallets, r.WalletID)
	}
	for _, r := range records {
		if r.Kind == wallet.KindOperations || r.Kind == wallet.KindBackfill {
			for _, op := range r.Operations {
				q.Operations = append(q.Operations, op.Key())
			}
		}
	}
	return q
}

func (a *Audit) meet(ctx context.Context, r *wallet.Record, s *wallet.Snapshot, listed map[wallet.Key]bool) error {
	a.report.Records++
	switch r.Kind {
	case wallet.KindPoison:
		a.poison = append(a.poison, r.Receipt)
	case wallet.KindCreate:
		a.meetCreate(r, s, listed)
	default:
		if r.Attempt > 0 {
			return nil // a copy: its operations were met at their own place
		}
		for i := range r.Operations {
			a.report.Operations++
			if err := a.meetOperation(ctx, r, &r.Operations[i], s, listed); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Audit) meetCreate(r *wallet.Record, s *wallet.Snapshot, listed map[wallet.Key]bool) {
	_, there := s.Wallets[r.WalletID]
	if !there && !listed[wallet.Key{WalletID: r.WalletID, ID: r.WalletID}] {
		f := walletFinding(WalletMissing, r.WalletID)
		f.Partition, f.Offset = &r.Receipt.Partition, &r.Receipt.Offset
		a.find(f, "its creation is journaled")
	}
	acc := a.accounts[r.WalletID]
	acc.created = true
	a.accounts[r.WalletID] = acc
}

// meetOperation compares one operation of a record with the ledger's.
func (a *Audit) meetOperation(ctx context.Context, r *wallet.Record, op *wallet.Operation, s *wallet.Snapshot, listed map[wallet.Key]bool) error {
	key := op.Key()
	has, ok := s.Operations[key]
	switch {
	case !ok && listed[key]:
		if _, again := a.waiting[key]; !again {
			a.waiting[key] = waiting{op.Type, op.Amount, r.Receipt}
		}
		return nil
	case !ok:
		a.find(operationFinding(Lost, op, r.Receipt), "%s %d is in the journal, before the ledger's offset, and neither in the ledger nor requeued", op.Type, op.Amount)
		return nil
	case has.Sequence == 0:
		a.meetRefused(r, op, &has)
		return nil
	}
	acc := a.accounts[op.WalletID]
	defer func() { a.accounts[op.WalletID] = acc }()
	if has.Sequence <= acc.sequence {
		a.meetAgain(r, op, &has)
		return nil
	}
	if err := a.fill(ctx, op.WalletID, &acc, has.Sequence); err != nil {
		return err
	}
	a.advance(&acc, &has)
	a.meetFirst(r, op, &has)
	return nil
}

// meetEntries compares the entries of a requeued list that a record has brought there.
func (a *Audit) meetEntries(r *wallet.Record, entries []wallet.Entry) {
	for i := range entries {
		e := &entries[i]
		at := slices.IndexFunc(r.Operations, func(op wallet.Operation) bool { return op.ID == e.ID && r.WalletID == e.WalletID })
		if at < 0 {
			continue // nobody asked for it there, which lists finds
		}
		a.entries[entry{e.Key(), e.Receipt}] = true
		if op := &r.Operations[at]; !op.SameRequest(e.Operation) {
			a.find(operationFinding(RequestDiffers, &e.Operation, r.Receipt), "the journal asks for %s %d, the requeued list has %s %d", op.Type, op.Amount, e.Type, e.Amount)
		}
	}
}

// meetRefused compares an operation that FAILED since its wallet did not exist.
func (a *Audit) meetRefused(r *wallet.Record, op, has *wallet.Operation) {
	if a.refused[op.Key()] {
		a.meetAgain(r, op, has)
		return
	}
	a.refused[op.Key()] = true
	acc := a.accounts[op.WalletID]
	_, wasListed := a.waiting[op.Key()] // since before its wallet's creation, perhaps
	switch {
	case has.Status.String() != "FAILED" || has.Reason.String() != "wallet_not_found" || acc.sequence > 0:
		a.find(operationFinding(WrongOutcome, op, r.Receipt), "the ledger says %s %s without a sequence; the wallet had %d operations then", has.Status, has.Reason, acc.sequence)
	case acc.created && !wasListed && has.Origin != wallet.Direct:
		a.find(operationFinding(WrongOutcome, op, r.Receipt), "the ledger says that there was no wallet; its creation is before it in the journal")
	}
	a.meetFirst(r, op, has)
}

// meetFirst compares an operation at the first place where the journal has it.
func (a *Audit) meetFirst(r *wallet.Record, op, has *wallet.Operation) {
	direct := has.Origin == wallet.Direct
	w, listed := a.waiting[has.Key()]
	switch {
	case r.Kind == wallet.KindBackfill:
		a.compareBackfill(r, op, has)
	case direct:
		// Its record came late, or in vain: what counts is the backfill, which follows.
		a.owe(has, false)
		a.compareRepeat(r, op, has)
	case listed && w.receipt != r.Receipt: // asked for again while it was requeued, and applied since
		a.compareWaiting(has, w)
		a.compareReceipt(r, has)
		a.compareRepeat(r, op, has)
	case !op.SameRequest(*has):
		a.find(operationFinding(RequestDiffers, has, r.Receipt), "the journal asks for %s %d, the ledger has %s %d", op.Type, op.Amount, has.Type, has.Amount)
	default:
		a.compareReceipt(r, has)
	}
}

func (a *Audit) compareWaiting(has *wallet.Operation, w waiting) {
	if w.opType != has.Type || w.amount != has.Amount {
		a.find(operationFinding(RequestDiffers, has, w.receipt), "the journal asks for %s %d, the ledger has %s %d", w.opType, w.amount, has.Type, has.Amount)
	}
}

func (a *Audit) compareReceipt(r *wallet.Record, has *wallet.Operation) {
	w, wasListed := a.waiting[has.Key()]
	delete(a.waiting, has.Key())
	if has.Receipt != r.Receipt && (!wasListed || has.Receipt != w.receipt) {
		a.find(operationFinding(ReceiptDiffers, has, r.Receipt), "the ledger says that it was met first at %s", has.Receipt)
	}
}

// meetAgain compares an operation whose place in the ledger was accounted for.
func (a *Audit) meetAgain(r *wallet.Record, op, has *wallet.Operation) {
	o, isOwed := a.owed[op.Key()]
	switch {
	case r.Kind == wallet.KindBackfill:
		a.compareBackfill(r, op, has)
	case isOwed && o.early:
		delete(a.owed, op.Key())
		a.find(operationFinding(OutOfOrder, has, r.Receipt), "it was applied before operations that are before it in the journal")
	default:
		a.compareRepeat(r, op, has)
	}
}

func (a *Audit) compareRepeat(r *wallet.Record, op, has *wallet.Operation) {
	a.report.Repeats++
	if !op.SameRequest(*has) {
		a.report.KeysReused++
		a.note(operationFinding(KeyReused, has, r.Receipt), "this record asks for %s %d under the id of %s %d; it was refused", op.Type, op.Amount, has.Type, has.Amount)
	}
}

// compareBackfill compares what was promised on the direct way with the ledger. The
// operation's own record may have got into the journal after all: a ledger that was
// restored to before it has it from there.
func (a *Audit) compareBackfill(r *wallet.Record, op, has *wallet.Operation) {
	delete(a.owed, op.Key())
	replayed := has.Receipt.Known() && has.Receipt.Offset < r.Receipt.Offset
	if !op.SameRequest(*has) || has.Origin != wallet.Direct && !replayed || op.Sequence != has.Sequence ||
		op.BalanceAfter != has.BalanceAfter || op.Status != has.Status || op.Reason != has.Reason {
		a.find(operationFinding(BackfillDiffer, has, r.Receipt), "the journal's backfill record says %s %d %s %s, sequence %d, balance %d; the ledger has %s %d %s %s, sequence %d, balance %d, origin %s",
			op.Type, op.Amount, op.Status, op.Reason, op.Sequence, op.BalanceAfter, has.Type, has.Amount, has.Status, has.Reason, has.Sequence, has.BalanceAfter, has.Origin)
	}
}

// fill takes the ledger's operations up to a sequence, which the journal has not
// shown so far: direct ones, as a rule.
func (a *Audit) fill(ctx context.Context, id uuid.UUID, acc *account, before int64) error {
	for acc.sequence+1 < before {
		from := []wallet.Wallet{{ID: id, State: wallet.State{Sequence: acc.sequence}}}
		_, ops, err := a.since(ctx, from, int(min(pageOperations, before-acc.sequence-1)))
		if err != nil {
			return err
		}
		for i := range ops {
			if ops[i].Sequence >= before {
				return nil
			}
			a.advance(acc, &ops[i])
			a.unmet(&ops[i], true)
		}
		if len(ops) == 0 {
			return nil
		}
	}
	return nil
}

// unmet takes in an operation of the ledger whose record was not met yet.
func (a *Audit) unmet(op *wallet.Operation, early bool) {
	w, listed := a.waiting[op.Key()]
	switch {
	case op.Origin == wallet.Direct:
		delete(a.waiting, op.Key())
		a.owe(op, false)
	case listed:
		delete(a.waiting, op.Key())
		a.compareWaiting(op, w)
	default:
		a.owe(op, early)
	}
}

func (a *Audit) owe(op *wallet.Operation, early bool) {
	a.owed[op.Key()] = owed{op.Type, op.Amount, op.Sequence, op.Receipt, op.Origin == wallet.Direct, early}
}
