package ledger_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

// move is a batch that moves an existing wallet by one operation.
func move(id uuid.UUID, s wallet.State, amount wallet.Amount) *wallet.Batch {
	ops := decide(s, id, amount)
	ops[0].Receipt = wallet.NoReceipt
	return &wallet.Batch{Changes: []wallet.Change{change(id, s.Sequence, ops)}, Operations: ops}
}

var funds = wallet.State{Balance: 100, Sequence: 1}

// hold locks a row from a foreign transaction until the returned function is called.
func (b *book) hold(statement string, args ...any) (release func()) {
	b.t.Helper()
	conn := connect(b.t, b.dsn)
	tx, err := conn.Begin(testContext(b.t))
	if err == nil {
		_, err = tx.Exec(testContext(b.t), statement, args...)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return func() {
		b.t.Helper()
		if err := tx.Rollback(testContext(b.t)); err != nil {
			b.t.Fatal(err)
		}
	}
}

const holdWallet = `SELECT 1 FROM wallets WHERE id = $1 FOR UPDATE`

// The server itself raises each state, where a batch of ours meets it.
func TestEveryStateOfTheServerHasItsMeaning(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	exec(t, b.conn, `CREATE TABLE state (code text)`)
	exec(t, b.conn, `INSERT INTO state VALUES ('')`)
	exec(t, b.conn, `CREATE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'raised' USING ERRCODE = (SELECT code FROM state); END $$`)
	id := b.funded(100)
	exec(t, b.conn, `CREATE TRIGGER raises BEFORE UPDATE ON wallets FOR EACH ROW EXECUTE FUNCTION raise()`)
	for code, want := range map[string]error{
		"23505": wallet.ErrConflict,
		"40001": wallet.ErrSerialization, "40P01": wallet.ErrSerialization, "0A000": wallet.ErrSerialization, "26000": wallet.ErrSerialization,
		"55P03": wallet.ErrLocked,
		"08006": wallet.ErrUnavailable, "25006": wallet.ErrUnavailable, "28P01": wallet.ErrUnavailable, "3D000": wallet.ErrUnavailable,
		"42501": wallet.ErrUnavailable, "42P01": wallet.ErrUnavailable, "42883": wallet.ErrUnavailable, "53100": wallet.ErrUnavailable,
		"53200": wallet.ErrUnavailable, "53300": wallet.ErrUnavailable, "55000": wallet.ErrUnavailable, "57014": wallet.ErrUnavailable,
		"57P01": wallet.ErrUnavailable, "57P02": wallet.ErrUnavailable, "57P03": wallet.ErrUnavailable, "58000": wallet.ErrUnavailable, "58P01": wallet.ErrUnavailable,
		"22003": wallet.ErrRefused, "23502": wallet.ErrRefused, "23514": wallet.ErrRefused, "P0001": wallet.ErrRefused, "XX000": wallet.ErrRefused, "XX001": wallet.ErrRefused,
		"58030": wallet.ErrRefused,
	} {
		exec(t, b.conn, `UPDATE state SET code = $1`, code)
		err := b.commit(move(id, funds, 1))
		wantKind(t, err, want)
		if t.Failed() {
			t.Fatal(code, err)
		}
	}
	exec(t, b.conn, `DROP TRIGGER raises ON wallets`)
	b.mustCommit(move(id, funds, 1))
}

// A server that ends the session may have written the transaction before.
func TestWhatEndsTheSessionIsOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	for _, severity := range []string{"FATAL", "PANIC"} {
		for _, code := range []string{"XX000", "XX001", "22023", "F0000", "P0001"} {
			err := ledger.Classify(fmt.Errorf("commit: %w", &pgconn.PgError{Severity: severity, SeverityUnlocalized: severity, Code: code}))
			wantKind(t, err, wallet.ErrUnavailable)
		}
	}
}

func TestALockedRowRefusesTheBatchWithinTheLockTimeout(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	locked, free := b.funded(100), b.funded(100)
	release := b.hold(holdWallet, locked)
	began := time.Now()
	wantKind(t, b.commit(move(locked, funds, 1)), wallet.ErrLocked)
	if took := time.Since(began); took < 200*time.Millisecond || took > 5*time.Second {
		t.Errorf("refused after %s, the lock timeout is 200 ms", took)
	}
	b.mustCommit(move(free, funds, 1))
	release()
	b.mustCommit(move(locked, funds, 1))
}

func TestLockedNamesTheRowsThatSomebodyHolds(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	held, free, missing := b.funded(1), b.funded(1), uuid.New()
	locked := func() []uuid.UUID {
		ids, err := b.Locked(testContext(t), []uuid.UUID{free, held, missing})
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	if got := locked(); len(got) != 0 {
		t.Errorf("nobody holds anything: %v", got)
	}
	release := b.hold(holdWallet, held)
	if got := locked(); len(got) != 1 || got[0] != held {
		t.Errorf("%v, want %s", got, held)
	}
	release()
	// Asking leaves no lock behind.
	if got := locked(); len(got) != 0 {
		t.Errorf("after the release: %v", got)
	}
	// A share that leaves the version alone is in nobody's way.
	release = b.hold(`SELECT 1 FROM wallets WHERE id = $1 FOR KEY SHARE`, held)
	defer release()
	if got := locked(); len(got) != 0 {
		t.Errorf("a key share counts as a lock: %v", got)
	}
}

func TestALockedOffsetIsALockOfNoWallet(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	release := b.hold(`SELECT 1 FROM journal_offsets WHERE partition = 0 FOR UPDATE`)
	wantKind(t, b.commit(&wallet.Batch{Fence: b.fence(0, 1)}), wallet.ErrLocked)
	release()
	b.mustCommit(&wallet.Batch{Fence: b.fence(0, 1)})
}

func TestABatchThatTakesTooLongIsOfUnknownOutcomeAndEndsOnTheServer(t *testing.T) {
	t.Parallel()
	b := newBook(t, func(c *ledger.Config) { c.CommitTimeout, c.LockTimeout = 2*time.Second, time.Minute })
	id := b.funded(100)
	release := b.hold(holdWallet, id)
	defer release()
	wantKind(t, b.commit(move(id, funds, 1)), wallet.ErrUnavailable)
	eventually(t, "nothing of the batch runs on", func() bool { return b.lockWaits() == 0 })
}

func TestACallersDeadlineIsUnavailability(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	wantKind(t, b.Commit(ctx, &wallet.Batch{Fence: b.fence(0, 1)}), wallet.ErrUnavailable)
	_, err := b.Read(ctx, wallet.SnapshotQuery{})
	wantKind(t, err, wallet.ErrUnavailable)
}

// waiting waits until a batch of ours waits for the given event, or kind of event,
// and returns its backend.
func (b *book) waiting(event string) (pid int) {
	b.t.Helper()
	eventually(b.t, "the batch waits", func() bool {
		err := b.conn.QueryRow(testContext(b.t), `SELECT pid FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'walletd' AND $1 IN (wait_event_type, wait_event)`, event).Scan(&pid)
		return err == nil
	})
	return pid
}

func TestABackendEndedByItsAdministratorIsUnavailability(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"pg_terminate_backend", "pg_cancel_backend"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			b := newBook(t, func(c *ledger.Config) { c.LockTimeout = time.Minute })
			id := b.funded(100)
			release := b.hold(holdWallet, id)
			result := make(chan error, 1)
			go func() { result <- b.commit(move(id, funds, 1)) }()
			exec(t, b.conn, "SELECT "+end+"($1)", b.waiting("Lock"))
			wantKind(t, <-result, wallet.ErrUnavailable)
			release()
			b.mustCommit(move(id, funds, 1))
		})
	}
}

func TestAReadOnlyServerIsUnavailable(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.funded(100)
	exec(t, b.conn, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`)
	l := open(t, embeddedtest.LedgerConfig(b.dsn))
	wantKind(t, l.Commit(testContext(t), move(id, funds, 1)), wallet.ErrUnavailable)
	eventually(t, "the breaker knows", func() bool { return l.Err() != nil && strings.Contains(l.Err().Error(), "read-only") })
	_, err := l.Wallet(testContext(t), id)
	wantKind(t, err, wallet.ErrUnavailable)
}

func TestBeforeTheMigrationEverythingIsUnavailable(t *testing.T) {
	t.Parallel()
	l := open(t, embeddedtest.LedgerConfig(embeddedtest.EmptyDatabase(t)))
	wantAllUnavailable(t, l)
	if _, err := l.Migrate(testContext(t)); err != nil {
		t.Fatal(err)
	}
	l.Suspect()
	eventually(t, "the breaker closes after the migration", func() bool { return l.Err() == nil })
	if _, err := l.Topic(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutAServerEverythingIsUnavailable(t *testing.T) {
	t.Parallel()
	cfg := embeddedtest.LedgerConfig("postgres://walletd:secret@127.0.0.1:1/walletd?sslmode=disable")
	wantAllUnavailable(t, open(t, cfg))
}

func wantAllUnavailable(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	ctx, id := testContext(t), uuid.New()
	for name, call := range map[string]func() error{
		"Commit":      func() error { return l.Commit(ctx, move(id, funds, 1)) },
		"Read":        func() error { _, err := l.Read(ctx, wallet.SnapshotQuery{Wallets: []uuid.UUID{id}}); return err },
		"Locked":      func() error { _, err := l.Locked(ctx, []uuid.UUID{id}); return err },
		"Due":         func() error { _, err := l.Due(ctx, 0, now, time.Minute, 1); return err },
		"Unjournaled": func() error { _, err := l.Unjournaled(ctx, uuid.Nil, 1); return err },
		"Backfills":   func() error { _, err := l.Backfills(ctx, []wallet.Key{{WalletID: id, ID: id}}); return err },
		"Journaled":   func() error { return l.Journaled(ctx, []wallet.Key{{WalletID: id, ID: id}}) },
		"Lost": func() error {
			_, err := l.Lost(ctx, []wallet.Placed{{Key: wallet.Key{WalletID: id, ID: id}}})
			return err
		},
		"Topic":      func() error { _, err := l.Topic(ctx); return err },
		"Follow":     func() error { _, err := l.Follow(ctx, wallet.Topic{Name: "t", ID: id, Partitions: 1}); return err },
		"Partition":  func() error { _, err := l.Partition(ctx, id, 0); return err },
		"Offsets":    func() error { _, err := l.Offsets(ctx); return err },
		"FullLists":  func() error { _, err := l.FullLists(ctx, 1); return err },
		"Create":     func() error { _, _, err := l.Create(ctx, id, now); return err },
		"Wallet":     func() error { _, err := l.Wallet(ctx, id); return err },
		"Outcomes":   func() error { _, err := l.Outcomes(ctx, []wallet.Key{{WalletID: id, ID: id}}); return err },
		"Operation":  func() error { _, _, err := l.Operation(ctx, wallet.Key{WalletID: id, ID: id}, -1); return err },
		"Operations": func() error { _, err := l.Operations(ctx, id, wallet.Query{Limit: 1}); return err },
	} {
		t.Run(name, func(t *testing.T) { wantKind(t, call(), wallet.ErrUnavailable) })
	}
}

func TestAMalformedDSNIsAnErrorThatKeepsTheSecret(t *testing.T) {
	t.Parallel()
	_, err := ledger.Open(embeddedtest.LedgerConfig("postgres://walletd:hunter2@[::1/x?sslmode=perhaps"))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("%v", err)
	}
}

// The server has its own: the other tests' must not be killed.
func TestAServerThatDiesOrHangsInTheMiddleIsUnavailable(t *testing.T) {
	server := embeddedtest.DurablePostgres(t)
	run(t, server.DSN(), "CREATE DATABASE killed")
	dsn := server.DSNFor("killed")
	cfg := embeddedtest.LedgerConfig(dsn)
	cfg.LockTimeout, cfg.CommitTimeout = time.Minute, 2*time.Second
	l := open(t, cfg)
	if _, err := l.Migrate(testContext(t)); err != nil {
		t.Fatal(err)
	}
	b := &book{Ledger: l, t: t, dsn: dsn, conn: connect(t, dsn)}
	l.Suspect()
	b.follow()
	id := b.funded(100)

	// The batch waits for itself: a lock's holder, dying first, might let it go on.
	exec(t, b.conn, `CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$`)
	exec(t, b.conn, `CREATE TRIGGER lingers BEFORE UPDATE ON wallets FOR EACH ROW EXECUTE FUNCTION linger()`)
	result := make(chan error, 1)
	go func() { result <- b.commit(move(id, funds, 1)) }()
	b.waiting("PgSleep")
	server.Kill()
	wantKind(t, <-result, wallet.ErrUnavailable)
	wantKind(t, b.commit(move(id, funds, 1)), wallet.ErrUnavailable)
	if err := server.Restart(testContext(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the breaker closes", func() bool { l.Suspect(); return l.Err() == nil })
	run(t, dsn, `DROP TRIGGER lingers ON wallets`)
	if got := b.read(id).Wallets[id]; got != funds {
		t.Fatalf("the cut off batch was written: %+v", got)
	}
	b.mustCommit(move(id, funds, 1))

	server.Pause()
	began := time.Now()
	err := b.commit(move(id, wallet.State{Balance: 101, Sequence: 2}, 1))
	server.Resume()
	wantKind(t, err, wallet.ErrUnavailable)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("a hung server held the batch for %s, the timeout is 2 s", took)
	}
}
