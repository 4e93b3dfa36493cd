package auditor_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/audit"
	"github.com/walletd/walletd/internal/connect"
	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

// between is a ledger of which something becomes true before a certain look.
type between struct {
	*ledger.Ledger
	looks, at int
	happens   func()
}

func (b *between) Read(ctx context.Context, q wallet.SnapshotQuery) (wallet.Snapshot, error) {
	if b.looks++; b.looks == b.at {
		b.happens()
	}
	return b.Ledger.Read(ctx, q)
}

// noCache has nothing.
type noCache struct{}

func (noCache) Each(context.Context, uuid.UUID, func([]wallet.Wallet, []uuid.UUID) error) error {
	return nil
}

// Its key is used again for something else while an operation is requeued, and it is
// applied while the audit is between the two records.
func TestAListThatIsAppliedDuringTheAuditIsNoFinding(t *testing.T) {
	b := newBooks(t)
	id := b.create()
	first := b.operation(id, wallet.Deposit, 5)
	reused := first
	reused.Amount++
	var page []wallet.Operation
	for range wallet.MaxRecordOperations {
		page = append(page, b.operation(id, wallet.Deposit, 1))
	}
	listed := b.joins(nil, first)
	listed = b.joins(listed, page...)
	b.joins(listed, reused)

	c := must[journal.Config](t)(connect.Journal(b.cfg.Kafka))
	c.AckTimeout, c.RequestTimeout, c.Replica, c.Log = time.Second, 10*time.Second, uuid.New(), slog.New(slog.DiscardHandler)
	j := must[*journal.Journal](t)(journal.Open(c))
	defer j.Close()
	changes := &between{b.ledger, 0, 3, func() { b.applied(listed) }}
	r, err := audit.New(audit.Config{Ledger: changes, Journal: j, Cache: noCache{}}).Run(testContext(t))
	if err != nil || changes.looks < changes.at || !r.Clean() || r.KeysReused != 1 {
		t.Errorf("%v after %d looks, %d keys reused, found:\n%s", err, changes.looks, r.KeysReused, list(r.Findings))
	}
}

// joins has a record's operations join the list of their wallet, and returns what is
// on it then.
func (b *books) joins(listed []wallet.Operation, ops ...wallet.Operation) []wallet.Operation {
	b.t.Helper()
	rec := b.produce(wallet.Record{Kind: wallet.KindOperations, WalletID: ops[0].WalletID, Operations: ops})
	c := wallet.ListChange{List: wallet.List{WalletID: rec.WalletID, Length: len(listed) + len(ops), NotBefore: b.at}}
	for _, op := range ops {
		op.Receipt = rec.Receipt
		c.Append, listed = append(c.Append, wallet.Entry{Kind: rec.Kind, Operation: op}), append(listed, op)
	}
	batch := b.pass(rec.Receipt)
	batch.Lists = []wallet.ListChange{c}
	b.commit(batch)
	return listed
}

// applied is what a copy does to a list.
func (b *books) applied(listed []wallet.Operation) {
	b.t.Helper()
	batch := &wallet.Batch{}
	b.apply(batch, listed)
	b.commit(batch)
	b.sql("DELETE FROM requeued")
	b.sql("DELETE FROM requeued_lists")
}
