package ledger_test

import (
	"testing"
	"time"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/ledger"
)

// A migration that builds an index over years of operations takes as long as it takes:
// the timeouts of reads and batches are not its.
func TestAMigrationMayTakeLongerThanARead(t *testing.T) {
	t.Parallel()
	dsn := embeddedtest.EmptyDatabase(t)
	conn := connect(t, dsn)
	exec(t, conn, `CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); END $$`)
	exec(t, conn, `CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('CREATE FUNCTION') EXECUTE FUNCTION slow()`)
	cfg := embeddedtest.LedgerConfig(dsn)
	cfg.ReadTimeout, cfg.CommitTimeout = 300*time.Millisecond, 300*time.Millisecond
	l := open(t, cfg)
	if applied, err := l.Migrate(testContext(t)); err != nil || len(applied) == 0 {
		t.Fatalf("applied %v, %v", applied, err)
	}
	wantMigrated(t, l)
}

// Nor may it keep batches back: what they do to a table queues behind a migration that
// waits for somebody who holds it, longer than a batch waits for a lock.
func TestAMigrationThatWaitsForATableLetsBatchesThrough(t *testing.T) {
	t.Parallel()
	b := newBook(t, func(c *ledger.Config) { c.LockTimeout = 2 * time.Second })
	id := b.funded(100)
	exec(t, b.conn, `DROP TRIGGER wallets_created ON wallets`)
	exec(t, b.conn, `DROP FUNCTION note_creation`)
	exec(t, b.conn, `DELETE FROM goose_db_version WHERE version_id > 2`)
	release := b.hold(`UPDATE wallets SET version = version WHERE false`) // which locks no row
	type result struct {
		applied []string
		err     error
	}
	migrated := make(chan result, 1)
	go func() {
		applied, err := b.Migrate(testContext(t))
		migrated <- result{applied, err}
	}()
	b.waiting("Lock")
	b.mustCommit(move(id, funds, 1))
	release()
	if r := <-migrated; r.err != nil || len(r.applied) != 2 {
		t.Fatalf("applied %v, %v", r.applied, r.err)
	}
	b.funded(100)
}

// wantMigrated fails unless the ledger can be used.
func wantMigrated(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	l.Suspect()
	eventually(t, "the breaker closes", func() bool { return l.Err() == nil })
	if _, err := l.Topic(testContext(t)); err != nil {
		t.Fatal(err)
	}
}
