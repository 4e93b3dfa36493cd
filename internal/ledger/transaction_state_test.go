package ledger_test

import (
	"testing"

	"github.com/walletd/walletd/internal/wallet"
)

// A transaction that the server has ended (by its timeout, for instance) or does
// not let write says nothing about the rows: no wallet is to be set aside for it.
func TestAnInvalidTransactionStateIsUnavailability(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	exec(t, b.conn, `CREATE TABLE state (code text)`)
	exec(t, b.conn, `INSERT INTO state VALUES ('')`)
	exec(t, b.conn, `CREATE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'raised' USING ERRCODE = (SELECT code FROM state); END $$`)
	id := b.funded(100)
	exec(t, b.conn, `CREATE TRIGGER raises BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION raise()`)
	for _, code := range []string{"25000", "25001", "25006", "25007", "25P01", "25P02", "25P03", "25P04"} {
		exec(t, b.conn, `UPDATE state SET code = $1`, code)
		err := b.commit(move(id, funds, 1))
		wantKind(t, err, wallet.ErrUnavailable)
		if t.Failed() {
			t.Fatal(code, err)
		}
	}
	exec(t, b.conn, `DROP TRIGGER raises ON operations`)
	b.mustCommit(move(id, funds, 1))
}
