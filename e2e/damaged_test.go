package e2e_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// tableBlock is one block of a table, on the disk.
type tableBlock struct {
	t    testing.TB
	path string
	at   int64
	was  []byte
}

// PostgreSQL's blocks, and what it says of one with another checksum than it wrote.
const (
	blockBytes    = 8192
	dataCorrupted = "XX001"
)

// damage has some bytes of the block that holds the wallet's row be others than PostgreSQL
// has written, and PostgreSQL forget what it has in memory of it, until repair.
func (s *stack) damage(conn *pgx.Conn, id uuid.UUID) *tableBlock {
	s.t.Helper()
	ctx := context.Background()
	var directory, path string
	var number int64
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	_, err := conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_buffercache")
	must(err)
	must(conn.QueryRow(ctx, `SELECT current_setting('data_directory'), pg_relation_filepath('wallets'), (ctid::text::point)[0]::bigint FROM wallets WHERE id = $1`, id).
		Scan(&directory, &path, &number))
	b := &tableBlock{t: s.t, path: filepath.Join(directory, path), at: number * blockBytes, was: make([]byte, blockBytes)}
	forget := func() {
		_, err := conn.Exec(ctx, `SELECT pg_buffercache_evict(bufferid) FROM pg_buffercache
			WHERE relfilenode = pg_relation_filenode('wallets') AND reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
				AND relforknumber = 0 AND relblocknumber = $1`, number)
		must(err)
	}
	forget() // which writes it, if need be
	file, err := os.Open(b.path)
	must(err)
	_, err = file.ReadAt(b.was, b.at)
	must(errors.Join(err, file.Close()))
	spoilt := append([]byte(nil), b.was...)
	for i := blockBytes - 64; i < blockBytes; i++ {
		spoilt[i] ^= 0xff
	}
	b.write(spoilt)
	eventually(s.t, "the block cannot be read", func() bool {
		forget() // somebody may have read it before it was spoilt
		var refusal *pgconn.PgError
		_, err := conn.Exec(ctx, "SELECT 1 FROM wallets WHERE id = $1 AND balance >= 0", id)
		return errors.As(err, &refusal) && refusal.Code == dataCorrupted
	})
	return b
}

func (b *tableBlock) repair() { b.t.Helper(); b.write(b.was) }

func (b *tableBlock) write(bytes []byte) {
	b.t.Helper()
	file, err := os.OpenFile(b.path, os.O_WRONLY, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = file.WriteAt(bytes, b.at)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		b.t.Fatal(err)
	}
}

// isApart reports whether the wallets' rows are in different blocks.
func (s *stack) isApart(a, b uuid.UUID) bool {
	s.t.Helper()
	return s.count(`SELECT count(DISTINCT (ctid::text::point)[0]) FROM wallets WHERE id IN ($1, $2)`, a, b) == 2
}

// A block that is really damaged is the trouble of the wallets in it alone: theirs is
// journaled, and applied in order once it is repaired; the others go on, those of the same
// partition too, and so they do after a restart.
func TestADamagedBlockIsTheTroubleOfItsOwnWallets(t *testing.T) {
	s := startStack(t, 1)
	r := s.replicas[0]
	bad := s.wallet()
	first := expect(t, r.submit(bad, deposit, 1_000), 200)
	s.exec(s.dsn(), `INSERT INTO wallets (id, balance, version, created_at, updated_at) SELECT gen_random_uuid(), 0, 0, now(), now() FROM generate_series(1, 1000)`)
	beside := s.walletIn(value(first.doc.Operation.Partition))
	if !s.isApart(bad, beside) {
		t.Fatal("both rows are in one block")
	}
	s.drained()

	b := s.damage(s.connect(), bad)
	for range 5 {
		expect(t, r.submit(bad, deposit, 1, "Prefer", "respond-async"), 202)
		expect(t, r.submit(beside, deposit, 1), 200)
	}
	if n := s.count(`SELECT count(*) FROM requeued_lists`); n != 1 {
		t.Errorf("%d wallets are set aside, want the one", n)
	}
	r.kill()
	r.start()
	r.ready()
	eventually(t, "the partition is given to its new life", func() bool { return r.submit(beside, deposit, 1).code == 200 })
	began := time.Now()
	for range 5 {
		expect(t, r.submit(bad, withdraw, 2, "Prefer", "respond-async"), 202)
		expect(t, r.submit(beside, deposit, 1), 200)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the others' took %s", took)
	}
	fresh := s.wallet() // one that nobody has met
	expect(t, r.submit(fresh, deposit, 7), 200)

	b.repair()
	s.drained()
	s.audit(beside, nil)
	s.audit(fresh, nil)
	if ops := s.audit(bad, nil); len(ops) != 11 || value(ops[10].BalanceAfter) != 995 {
		t.Errorf("%d operations of the damaged wallet: %+v", len(ops), ops[len(ops)-1])
	}
}
