package ledger_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

// now is the time that rows carry; PostgreSQL keeps microseconds.
var now = time.Date(2026, 5, 6, 7, 8, 9, 123_456_000, time.UTC)

const partitions = 4

// book is a ledger on a database of the test's own that follows a journal.
type book struct {
	*ledger.Ledger
	t     testing.TB
	dsn   string
	conn  *pgx.Conn // a foreigner's
	topic wallet.Topic
}

func newBook(t testing.TB, changes ...func(*ledger.Config)) *book {
	t.Helper()
	dsn := embeddedtest.Database(t)
	cfg := embeddedtest.LedgerConfig(dsn)
	for _, change := range changes {
		change(&cfg)
	}
	b := &book{Ledger: open(t, cfg), t: t, dsn: dsn, conn: connect(t, dsn)}
	b.follow()
	return b
}

// follow has the ledger follow a new topic, with all partitions at 0.
func (b *book) follow() {
	b.t.Helper()
	b.topic = wallet.Topic{Name: "operations", ID: uuid.New(), Partitions: partitions}
	if got, err := b.Follow(testContext(b.t), b.topic); err != nil || got != b.topic {
		b.t.Fatalf("follow: %+v, %v", got, err)
	}
	for p := range int32(partitions) {
		if got, err := b.Partition(testContext(b.t), b.topic.ID, p); err != nil || got.Next != 0 {
			b.t.Fatalf("partition %d: %+v, %v", p, got, err)
		}
	}
	eventually(b.t, "the breaker closes", func() bool { return b.Err() == nil })
}

// fence moves partition 0.
func (b *book) fence(from, to int64) *wallet.Fence {
	return &wallet.Fence{Topic: b.topic.ID, From: from, To: to}
}

func (b *book) commit(batch *wallet.Batch) error { return b.Commit(testContext(b.t), batch) }

func (b *book) mustCommit(batch *wallet.Batch) {
	b.t.Helper()
	if err := b.commit(batch); err != nil {
		b.t.Fatal(err)
	}
}

// funded inserts a wallet with one deposit.
func (b *book) funded(amount wallet.Amount) uuid.UUID {
	b.t.Helper()
	id := uuid.New()
	ops := decide(wallet.State{}, id, amount)
	b.mustCommit(&wallet.Batch{Creates: []wallet.Creation{{ID: id, At: now}}, Changes: []wallet.Change{change(id, 0, ops)}, Operations: ops})
	return id
}

// decide returns the operations that move a wallet by the given amounts, negative
// ones withdrawing.
func decide(s wallet.State, id uuid.UUID, amounts ...wallet.Amount) []wallet.Operation {
	ops := make([]wallet.Operation, len(amounts))
	for i, a := range amounts {
		op := request(id, a)
		op.Receipt = wallet.Receipt{Partition: 0, Offset: int64(i)}
		s, ops[i] = wallet.Apply(s, op, now.Add(time.Duration(s.Sequence)*time.Second))
	}
	return ops
}

func request(id uuid.UUID, a wallet.Amount) wallet.Operation {
	op := wallet.Operation{ID: uuid.New(), WalletID: id, Type: wallet.Deposit, Amount: a, AcceptedAt: now, Receipt: wallet.NoReceipt}
	if a < 0 {
		op.Type, op.Amount = wallet.Withdraw, -a
	}
	return op
}

// change is the wallet's change that belongs to decided operations.
func change(id uuid.UUID, from int64, ops []wallet.Operation) wallet.Change {
	last := ops[len(ops)-1]
	return wallet.Change{ID: id, FromSequence: from, State: wallet.State{Balance: last.BalanceAfter, Sequence: last.Sequence}, At: now}
}

// entries are operations as a requeued list keeps them.
func entries(ops ...wallet.Operation) []wallet.Entry {
	list := make([]wallet.Entry, len(ops))
	for i, op := range ops {
		op.Receipt = wallet.Receipt{Partition: 0, Offset: int64(100 + i)}
		list[i] = wallet.Entry{Kind: wallet.KindOperations, Operation: op}
	}
	return list
}

func head(id uuid.UUID, length int) wallet.List {
	return wallet.List{WalletID: id, Length: length, NotBefore: now, LastError: "its row is held locked"}
}

// listed gives a wallet a requeued list, moving partition 0 by one.
func (b *book) listed(id uuid.UUID, ops ...wallet.Operation) {
	b.t.Helper()
	next := b.next(0)
	b.mustCommit(&wallet.Batch{Fence: b.fence(next, next+1), Lists: []wallet.ListChange{{List: head(id, len(ops)), Append: entries(ops...)}}})
}

func (b *book) next(partition int32) int64 {
	b.t.Helper()
	p, err := b.Partition(testContext(b.t), b.topic.ID, partition)
	if err != nil {
		b.t.Fatal(err)
	}
	return p.Next
}

// read is Read of one wallet with its list.
func (b *book) read(id uuid.UUID) wallet.Snapshot {
	b.t.Helper()
	s, err := b.Read(testContext(b.t), wallet.SnapshotQuery{Wallets: []uuid.UUID{id}, Lists: []uuid.UUID{id}, EntriesPerList: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// dump is everything the ledger holds, as text.
func (b *book) dump() string {
	b.t.Helper()
	var all strings.Builder
	for _, table := range []string{"wallets", "operations", "journal", "journal_offsets", "requeued_lists", "requeued", "unjournaled"} {
		rows, err := b.conn.Query(testContext(b.t), "SELECT t::text FROM "+table+" t ORDER BY 1")
		if err != nil {
			b.t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			b.t.Fatal(err)
		}
		all.WriteString(table + "\n" + strings.Join(lines, "\n") + "\n")
	}
	return all.String()
}

// kinds are the ways a call can fail; everything wraps exactly one.
var kinds = []error{
	wallet.ErrUnavailable, wallet.ErrFenced, wallet.ErrConflict, wallet.ErrSerialization,
	wallet.ErrLocked, wallet.ErrRefused, wallet.ErrTopicChanged, wallet.ErrResolved,
}

func wantKind(t testing.TB, err, want error) {
	t.Helper()
	for _, kind := range kinds {
		if errors.Is(err, kind) != (kind == want) { //nolint:errorlint // the kinds themselves are compared
			t.Errorf("%v: want exactly %v", err, want)
		}
	}
}
