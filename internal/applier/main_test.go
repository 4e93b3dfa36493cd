package applier_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// Waiting is the same in all packages.
var eventually, testContext = embeddedtest.Eventually, embeddedtest.Context

// database is a world's PostgreSQL.
type database struct {
	dsn  string
	conn *pgx.Conn // a foreigner's
}

// newWorld is a world on a real ledger, in a database of the test's own.
func newWorld(t testing.TB, partitions int) (*world, *database) {
	t.Helper()
	db := connect(t, embeddedtest.Database(t))
	l, err := ledger.Open(embeddedtest.LedgerConfig(db.dsn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	log := simtest.NewLog(partitions)
	if _, err := l.Follow(testContext(t), wallet.Topic{Name: "operations", ID: log.Topic, Partitions: int32(partitions)}); err != nil {
		t.Fatal(err)
	}
	return &world{t: t, log: log, ledger: l, books: func() simtest.Books { return db.books(t) }, direct: map[wallet.Key]bool{}}, db
}

func connect(t testing.TB, dsn string) *database {
	t.Helper()
	conn, err := pgx.Connect(testContext(t), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return &database{dsn, conn}
}

func (d *database) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	if _, err := d.conn.Exec(testContext(t), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// hold locks a wallet's row from a foreign transaction until release is called.
func (d *database) hold(t testing.TB, id uuid.UUID) (release func()) {
	t.Helper()
	holder := connect(t, d.dsn)
	holder.exec(t, "BEGIN")
	holder.exec(t, "SELECT 1 FROM wallets WHERE id = $1 FOR UPDATE", id)
	return func() { t.Helper(); holder.exec(t, "ROLLBACK") }
}

// move has a foreigner deposit 1, who writes the wallet's operation too.
func (d *database) move(t testing.TB, id uuid.UUID) wallet.Operation {
	t.Helper()
	op := deposit(id, 1)
	d.exec(t, `WITH moved AS (UPDATE wallets SET balance = balance + 1, version = version + 1 WHERE id = $1 RETURNING *)
		INSERT INTO operations (wallet_id, operation_id, sequence, type, amount, status, reason, origin, balance_after, accepted_at, applied_at)
		SELECT id, $2, version, 1, 1, 1, 0, 1, balance, now(), now() FROM moved`, id, op.ID)
	return op
}

// books reads everything that the ledger holds, in one transaction.
func (d *database) books(t testing.TB) simtest.Books {
	t.Helper()
	b := simtest.NewBooks()
	ctx := testContext(t)
	tx, err := d.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(ctx) //nolint:errcheck // it only read
	each := func(statement string, targets []any, row func()) {
		rows, err := tx.Query(ctx, statement)
		if err == nil {
			_, err = pgx.ForEachRow(rows, targets, func() error { row(); return nil })
		}
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	var id uuid.UUID
	var state wallet.State
	each(`SELECT id, balance, version FROM wallets`, []any{&id, &state.Balance, &state.Sequence}, func() { b.Wallets[id] = state })
	var op wallet.Operation
	each(`SELECT wallet_id, operation_id, coalesce(sequence, 0), type, amount, status, reason, origin, coalesce(balance_after, 0),
			accepted_at, applied_at, coalesce(partition, -1), coalesce(journal_offset, -1) FROM operations`,
		[]any{&op.WalletID, &op.ID, &op.Sequence, &op.Type, &op.Amount, &op.Status, &op.Reason, &op.Origin, &op.BalanceAfter,
			&op.AcceptedAt, &op.AppliedAt, &op.Receipt.Partition, &op.Receipt.Offset},
		func() { b.Operations[op.Key()] = op })
	var partition int32
	var next int64
	each(`SELECT partition, next_offset FROM journal_offsets`, []any{&partition, &next}, func() { b.Offsets[partition] = next })
	var e wallet.Entry
	each(`SELECT wallet_id, position, kind, operation_id, type, amount, partition, journal_offset FROM requeued ORDER BY wallet_id, position`,
		[]any{&e.WalletID, &e.Position, &e.Kind, &e.ID, &e.Type, &e.Amount, &e.Receipt.Partition, &e.Receipt.Offset},
		func() { b.Entries[e.WalletID] = append(b.Entries[e.WalletID], e) })
	return b
}
