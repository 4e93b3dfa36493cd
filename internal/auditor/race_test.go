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

	if r := b.auditBetween(func() { b.applied(listed) }); !r.Clean() || r.KeysReused != 1 {
		t.Errorf("%d keys reused, found:\n%s", r.KeysReused, list(r.Findings))
	}
}

// An operation is requeued before its wallet is there, is sent again behind its creation, and
// is refused while the audit is between the two records.
func TestAnOperationThatWasListedBeforeItsWalletsCreationIsNoFinding(t *testing.T) {
	b := newBooks(t)
	id := uuid.New()
	early := b.operation(id, wallet.Deposit, 5)
	listed := b.joins(nil, early)
	creation := wallet.Operation{ID: id, WalletID: id, AcceptedAt: b.at}
	rec := b.produce(wallet.Record{Kind: wallet.KindCreate, WalletID: id, Operations: []wallet.Operation{creation}})
	creation.Receipt = rec.Receipt
	batch := b.pass(rec.Receipt)
	batch.Lists = []wallet.ListChange{{List: wallet.List{WalletID: id, Length: 2, NotBefore: b.at}, Append: []wallet.Entry{{Kind: rec.Kind, Operation: creation}}}}
	b.commit(batch)
	var page []wallet.Operation
	for range wallet.MaxRecordOperations {
		page = append(page, b.operation(id, wallet.Deposit, 1))
	}
	later := b.joins(append(listed, creation), page...)[2:]
	b.joins(append(listed, later...), early)
	r := b.auditBetween(func() {
		batch := &wallet.Batch{}
		b.apply(batch, listed)
		b.commit(batch)
		b.commit(&wallet.Batch{Creates: []wallet.Creation{{ID: id, At: b.at}}})
		b.states[id] = wallet.State{}
		b.applied(later)
	})
	if !r.Clean() {
		t.Errorf("found:\n%s", list(r.Findings))
	}
}

// auditBetween audits, and has something become true before the look at the second page.
func (b *books) auditBetween(happens func()) *audit.Report {
	b.t.Helper()
	c := must[journal.Config](b.t)(connect.Journal(b.cfg.Kafka))
	c.AckTimeout, c.RequestTimeout, c.Replica, c.Log = time.Second, 10*time.Second, uuid.New(), slog.New(slog.DiscardHandler)
	j := must[*journal.Journal](b.t)(journal.Open(c))
	defer j.Close()
	changes := &between{b.ledger, 0, 3, happens}
	r, err := audit.New(audit.Config{Ledger: changes, Journal: j, Cache: noCache{}, PartitionAmong: journal.PartitionAmong}).Run(testContext(b.t))
	if err != nil || changes.looks < changes.at {
		b.t.Fatalf("%v after %d looks", err, changes.looks)
	}
	return r
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
