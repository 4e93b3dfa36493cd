package applier

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// requeued is a wallet's list as the ledger keeps it between batches.
type requeued struct {
	id    uuid.UUID
	head  wallet.List
	left  []wallet.Entry
	state wallet.State
}

func newRequeued(length int) *requeued {
	l := &requeued{id: uuid.New()}
	l.head = wallet.List{WalletID: l.id, Length: length}
	for i := range length {
		op := wallet.Operation{ID: uuid.New(), WalletID: l.id, Type: wallet.Deposit, Amount: 1}
		l.left = append(l.left, wallet.Entry{Position: int64(i + 1), Kind: wallet.KindOperations, Operation: op})
	}
	return l
}

// copy has one more copy of the list's first operation come by, at the given time;
// it is refused if why says so. It returns the list's change.
func (l *requeued) copy(t *testing.T, limits Limits, at time.Time, why string) wallet.ListChange {
	t.Helper()
	rec := wallet.Record{Kind: wallet.KindOperations, WalletID: l.id, Attempt: l.head.Attempt + 1, Operations: []wallet.Operation{l.left[0].Operation}}
	b := newBatch(at, []wallet.Record{rec}, map[uuid.UUID]*lane{l.id: {cached: true, state: l.state}}, wallet.FromJournal, limits)
	b.lists, b.aside = map[uuid.UUID]wallet.List{l.id: l.head}, map[uuid.UUID]refusal{}
	if why != "" {
		b.aside[l.id] = refusal{why: why}
	}
	if q := b.query(reread{}); len(q.Lists) > 0 {
		read := l.left[:min(len(l.left), q.EntriesPerList)]
		b.learn(q, wallet.Snapshot{Wallets: map[uuid.UUID]wallet.State{l.id: l.state}, Entries: map[uuid.UUID][]wallet.Entry{l.id: read}})
	}
	done := b.compute()
	if len(done.Lists) != 1 {
		t.Fatalf("%d lists changed", len(done.Lists))
	}
	change := done.Lists[0]
	l.head = change.List
	l.left = slices.DeleteFunc(l.left, func(e wallet.Entry) bool { return slices.Contains(change.Taken, e.Position) })
	l.state = b.account(l.id).now
	return change
}

var drainLimits = Limits{ListPerCopy: 10, Attempts: 5, MinRequeueDelay: time.Second, MaxRequeueDelay: time.Hour}

// A list that only is long is applied copy by copy, each due at once: that says
// nothing about refusals.
func TestDrainingALongListCountsAsNoRefusal(t *testing.T) {
	const copies = 50
	l, now := newRequeued(copies*drainLimits.ListPerCopy), time.UnixMicro(1_000_000)
	l.head.Refusals = 3 // of the time when it was held
	for i := range copies {
		now = now.Add(time.Millisecond)
		c := l.copy(t, drainLimits, now, "")
		if i == copies-1 {
			break
		}
		if c.Refusals != 0 || !c.NotBefore.Equal(now) || len(c.Taken) != drainLimits.ListPerCopy {
			t.Fatalf("copy %d: %d taken, %d refusals, due in %s", i+1, len(c.Taken), c.Refusals, c.NotBefore.Sub(now))
		}
		if c.Attempt != i+1 {
			t.Fatalf("copy %d is attempt %d: the next one would be taken for a stale one", i+1, c.Attempt)
		}
	}
	if l.head.Length != 0 || len(l.left) != 0 || l.state.Sequence != copies*int64(drainLimits.ListPerCopy) {
		t.Errorf("%d of the list left, wallet at %d", l.head.Length, l.state.Sequence)
	}
}

func TestARefusalAfterProgressStartsTheBackoffAnew(t *testing.T) {
	l, now := newRequeued(100), time.UnixMicro(1_000_000)
	refused := func(refusals int) {
		t.Helper()
		now = now.Add(time.Millisecond)
		c := l.copy(t, drainLimits, now, "its row is held locked")
		if c.Refusals != refusals || c.NotBefore.Sub(now) != drainLimits.backoff(refusals) || len(c.Taken) != 0 {
			t.Errorf("refusal %d: counted %d, next copy in %s, %d taken", refusals, c.Refusals, c.NotBefore.Sub(now), len(c.Taken))
		}
	}
	for n := range 4 {
		refused(n + 1)
	}
	for range 6 {
		l.copy(t, drainLimits, now, "")
	}
	refused(1)
	refused(2)
}
