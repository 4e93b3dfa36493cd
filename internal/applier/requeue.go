package applier

import (
	"strings"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// listing is a wallet's requeued list within one batch.
type listing struct {
	head    wallet.List
	waiting []wallet.Entry // its first entries, read when a copy is to apply them
	taken   []int64        // positions that this batch removes
	joined  []wallet.Entry // that this batch appends
	changed bool
}

// maxReasonBytes bounds what a list keeps of why it was refused.
const maxReasonBytes = 500

// join appends the record's operations, untried, to the list's end.
func (l *listing) join(r *wallet.Record) {
	for _, op := range r.Operations {
		op.WalletID, op.Receipt = r.WalletID, r.Receipt
		l.joined = append(l.joined, wallet.Entry{Kind: r.Kind, Operation: op})
	}
	l.head.Length += len(r.Operations)
	l.changed = true
}

func (l *listing) change() wallet.ListChange {
	return wallet.ListChange{List: l.head, Taken: l.taken, Append: l.joined}
}

// setAside puts a record of a refused wallet on its list, whole. A copy is on the
// list already: it only leaves its attempt, so that the next one tries again later.
func (b *batch) setAside(a *account, r *wallet.Record, why string) {
	if a.list == nil {
		a.list = &listing{head: wallet.List{WalletID: a.id, NotBefore: b.at.Add(b.limits.backoff(0))}}
	}
	a.list.head.LastError = strings.ToValidUTF8(why[:min(len(why), maxReasonBytes)], "")
	if r.Attempt == 0 {
		a.list.join(r)
		return
	}
	if r.Attempt > a.list.head.Attempt {
		a.list.head.Attempt = r.Attempt
		a.list.head.Refusals++
		a.list.head.NotBefore = b.at.Add(b.limits.backoff(a.list.head.Refusals))
		a.list.changed = true
	}
}

// applyList applies the list in order, leaving out what the ledger has, as a copy
// of its first entry comes by. At most the bounded number that was read is applied;
// the rest stays and is due at once.
func (b *batch) applyList(a *account, r *wallet.Record) {
	l := a.list
	l.changed = true
	l.head.Attempt, l.head.Refusals = r.Attempt, 0
	for _, e := range l.waiting {
		b.decide(a, e.Kind, e.Operation, uuid.Nil)
		l.taken = append(l.taken, e.Position)
	}
	l.head.Length -= len(l.waiting)
	l.waiting = nil
	if l.head.Length == len(l.joined) {
		for _, e := range l.joined {
			b.decide(a, e.Kind, e.Operation, uuid.Nil)
		}
		l.head.Length, l.joined = 0, nil
	}
	if l.head.Length == 0 {
		b.closeList(a)
		return
	}
	l.head.NotBefore = b.at
}

// closeList ends an applied list: later records of the batch are applied as they come.
func (b *batch) closeList(a *account) {
	b.Lists = append(b.Lists, a.list.change())
	a.list = nil
}
