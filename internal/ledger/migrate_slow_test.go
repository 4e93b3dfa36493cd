package ledger_test

import (
	"testing"
	"time"

	"github.com/walletd/walletd/internal/ledger"
)

// A migration that waits for a lock, or builds an index over years of operations,
// takes as long as it takes: the timeouts of reads are not its.
func TestAMigrationMayTakeLongerThanARead(t *testing.T) {
	t.Parallel()
	dsn := unmigrated(t)
	cfg := config(dsn)
	cfg.ReadTimeout, cfg.CommitTimeout = 300*time.Millisecond, 300*time.Millisecond
	l := open(t, cfg)
	holder, watcher := connect(t, dsn), connect(t, dsn)
	exec(t, holder, "BEGIN")
	exec(t, holder, "CREATE TABLE wallets ()") // the migration's own has to wait for it
	migrated := make(chan error, 1)
	go func() {
		_, err := l.Migrate(testContext(t))
		migrated <- err
	}()
	eventually(t, "the migration has waited for longer than a read may take", func() bool {
		select {
		case err := <-migrated:
			t.Fatalf("it ended before the lock was released: %v", err)
		default:
		}
		var waits bool
		err := watcher.QueryRow(testContext(t), `SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
			AND application_name = 'walletd' AND wait_event_type = 'Lock' AND query_start < clock_timestamp() - $1::interval`, 3*cfg.ReadTimeout).Scan(&waits)
		return err == nil && waits
	})
	exec(t, holder, "ROLLBACK")
	select {
	case err := <-migrated:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	wantMigrated(t, l)
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
