package embeddedtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	blockBytes    = 8192    // of PostgreSQL's blocks
	dataCorrupted = "XX001" // what it says of one with another checksum than it wrote
)

// Damage has some bytes of the block that holds a row of the table be others than PostgreSQL
// has written, and PostgreSQL forget what it has in memory of it, until repair is called. The
// row is the first for which the condition is true. Other rows are in that block as well.
func Damage(t testing.TB, conn *pgx.Conn, table, condition string, args ...any) (repair func()) {
	t.Helper()
	b := damaged{t: t, conn: conn, table: table, block: make([]byte, blockBytes)}
	b.exec("CREATE EXTENSION IF NOT EXISTS pg_buffercache")
	b.find(condition, args)
	b.forget() // which writes it, if need be
	b.open(os.O_RDONLY, func(f *os.File) error { _, err := f.ReadAt(b.block, b.number*blockBytes); return err })
	spoilt := slices.Clone(b.block)
	for i := blockBytes - 64; i < blockBytes; i++ {
		spoilt[i] ^= 0xff
	}
	b.write(spoilt)
	Eventually(t, "the block cannot be read", func() bool {
		b.forget() // somebody may have read it before it was spoilt
		var refusal *pgconn.PgError
		_, err := conn.Exec(context.Background(), fmt.Sprintf("SELECT 1 FROM %s WHERE ctid = '(%d,1)'", b.table, b.number))
		return errors.As(err, &refusal) && refusal.Code == dataCorrupted
	})
	return func() { b.write(b.block) }
}

// damaged is a block of a table.
type damaged struct {
	t      testing.TB
	conn   *pgx.Conn
	table  string
	path   string
	number int64
	block  []byte // as it was
}

func (b *damaged) find(condition string, args []any) {
	b.t.Helper()
	var directory, path string
	err := b.conn.QueryRow(context.Background(), fmt.Sprintf(`SELECT current_setting('data_directory'), pg_relation_filepath(tableoid), (ctid::text::point)[0]::bigint, tableoid::regclass::text
		FROM %s WHERE %s LIMIT 1`, b.table, condition), args...).Scan(&directory, &path, &b.number, &b.table)
	if err != nil {
		b.t.Fatal(err)
	}
	b.path = filepath.Join(directory, path)
}

func (b *damaged) exec(statement string, args ...any) {
	b.t.Helper()
	if _, err := b.conn.Exec(context.Background(), statement, args...); err != nil {
		b.t.Fatal(err)
	}
}

// forget has PostgreSQL write the block if it has changed, and keep it no longer.
func (b *damaged) forget() {
	b.t.Helper()
	b.exec(`SELECT pg_buffercache_evict(bufferid) FROM pg_buffercache
		WHERE relfilenode = pg_relation_filenode($1::text::regclass) AND reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND relforknumber = 0 AND relblocknumber = $2`, b.table, b.number)
}

func (b *damaged) write(bytes []byte) {
	b.t.Helper()
	b.open(os.O_WRONLY, func(f *os.File) error {
		_, err := f.WriteAt(bytes, b.number*blockBytes)
		return errors.Join(err, f.Sync())
	})
}

func (b *damaged) open(how int, do func(*os.File) error) {
	b.t.Helper()
	f, err := os.OpenFile(b.path, how, 0)
	if err == nil {
		err = errors.Join(do(f), f.Close())
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
