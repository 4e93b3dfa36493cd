package ledger_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walletd/walletd/internal/ledger"
)

// fill makes the tables big enough that a scan of one would be felt.
const fill = `
INSERT INTO wallets SELECT gen_random_uuid(), 1, 3, now(), now() FROM generate_series(1, 5000);
INSERT INTO operations (wallet_id, operation_id, sequence, type, amount, status, reason, origin, balance_after, accepted_at, applied_at)
	SELECT id, gen_random_uuid(), n, 1, 1, 1, 0, 0, 1, now(), now() FROM wallets, generate_series(1, 3) AS n;
INSERT INTO requeued (wallet_id, kind, operation_id, type, amount, accepted_at, partition, journal_offset)
	SELECT id, 1, gen_random_uuid(), 1, 1, now(), 0, 0 FROM wallets, generate_series(1, 2);
INSERT INTO requeued_lists SELECT id, row_number() OVER () % 64, 2, 0, 0, now(), '' FROM wallets;
INSERT INTO unjournaled SELECT wallet_id, operation_id, sequence FROM operations WHERE sequence = 1;
INSERT INTO journal_offsets SELECT gen_random_uuid(), p, 0 FROM generate_series(0, 2000) AS p;
ANALYZE`

var scan = regexp.MustCompile(`Seq Scan on (\w+)`)

// explain returns the statement's generic plan, the one that serves every batch.
func explain(t *testing.T, pool *pgxpool.Pool, statement string) string {
	t.Helper()
	conn, err := pool.Acquire(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	exec(t, conn.Conn(), "SET plan_cache_mode = force_generic_plan")
	exec(t, conn.Conn(), "PREPARE planned AS "+statement)
	defer exec(t, conn.Conn(), "DEALLOCATE planned")
	nulls := strings.TrimSuffix(strings.Repeat("NULL,", arguments(statement)), ",")
	rows, err := conn.Query(testContext(t), "EXPLAIN EXECUTE planned("+nulls+")", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func arguments(statement string) int {
	n := 0
	for strings.Contains(statement, "$"+string(rune('1'+n))) && n < 9 {
		n++
	}
	if n == 9 {
		n = len(regexp.MustCompile(`\$1[0-9]`).FindAllString(statement, -1)) + n
	}
	return n
}

// A plan made while a table was empty serves it when it has grown: it must be an
// index plan from the start.
func TestABatchReachesEveryRowByAnIndexHoweverFullTheTablesAre(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for _, tables := range []string{"empty", "filled"} {
		if tables == "filled" {
			exec(t, b.conn, fill)
		}
		for name, statement := range ledger.BatchStatements {
			if plan := explain(t, b.Commits(), statement); scan.MatchString(plan) {
				t.Errorf("%s, tables %s:\n%s", name, tables, plan)
			}
		}
	}
}

func TestReadsReachEveryRowByAnIndex(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	exec(t, b.conn, "VACUUM (ANALYZE)")
	for _, tables := range []string{"empty", "filled"} {
		if tables == "filled" {
			exec(t, b.conn, fill)
		}
		for name, statement := range ledger.ReadStatements {
			plan := explain(t, b.Reads(), statement)
			for _, table := range scan.FindAllStringSubmatch(plan, -1) {
				if table[1] != "journal" { // it has one row
					t.Errorf("%s, tables %s:\n%s", name, tables, plan)
				}
			}
		}
		if plan := explain(t, b.Reads(), ledger.ReadStatements["history"]); !strings.Contains(plan, "Merge Append") {
			t.Errorf("a page is sorted, tables %s:\n%s", tables, plan)
		}
	}
}

// The test's server cannot compile, so the setting is asked for.
func TestNoPlanIsCompiled(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for name, pool := range map[string]*pgxpool.Pool{"commits": b.Commits(), "reads": b.Reads()} {
		var jit string
		if err := pool.QueryRow(testContext(t), "SHOW jit").Scan(&jit); err != nil || jit != "off" {
			t.Errorf("%s: jit is %q, %v", name, jit, err)
		}
	}
}
