package ledger

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walletd/walletd/internal/wallet"
)

// The SQLSTATEs that expect raises; class WD is not used by PostgreSQL.
const (
	stateFenced   = "WD001"
	stateConflict = "WD002"
	stateResolved = "WD003"
	stateChanged  = "WD004"
)

// kinds maps an SQLSTATE, or its class of two characters, to what it means for a
// batch (PostgreSQL documentation, appendix A). Classes that are about the server
// or the schema, not about the rows of one wallet, are unavailability: setting
// wallets aside would not help.
var kinds = map[string]error{
	stateFenced:   wallet.ErrFenced,
	stateConflict: wallet.ErrConflict,
	stateResolved: wallet.ErrResolved,
	stateChanged:  wallet.ErrTopicChanged,
	"23505":       wallet.ErrConflict,      // unique_violation
	"40001":       wallet.ErrSerialization, // serialization_failure
	"40P01":       wallet.ErrSerialization, // deadlock_detected
	"0A000":       wallet.ErrSerialization, // a cached plan outlived a migration
	"26000":       wallet.ErrSerialization, // a prepared statement is gone
	"55P03":       wallet.ErrLocked,        // lock_not_available
	"08":          wallet.ErrUnavailable,   // connection
	"25":          wallet.ErrUnavailable,   // invalid transaction state, transaction timeout
	"28":          wallet.ErrUnavailable,   // authorization
	"3D":          wallet.ErrUnavailable,   // no such database
	"42":          wallet.ErrUnavailable,   // undefined or forbidden: not migrated yet
	"53":          wallet.ErrUnavailable,   // insufficient resources, disk full
	"55":          wallet.ErrUnavailable,   // not in prerequisite state
	"57":          wallet.ErrUnavailable,   // operator intervention, statement timeout
	"58":          wallet.ErrUnavailable,   // system error, a library or a file that is not there
	"58030":       wallet.ErrRefused,       // io_error: a block that the disk does not give, as XX001 is one with a wrong checksum
}

// rolledBack reports whether err says for certain that a transaction has come to nothing:
// the server has refused a statement and lives. What it kills, or what is cut off, may have
// been committed.
func rolledBack(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.SeverityUnlocalized == "ERROR"
}

// classify wraps err with the one domain error that says how to go on. Whatever did
// not come from the server, or ended the session, has an unknown outcome.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || !rolledBack(err) {
		return fmt.Errorf("%w: %w", wallet.ErrUnavailable, err)
	}
	kind, ok := kinds[pg.Code]
	if !ok && len(pg.Code) == 5 {
		kind, ok = kinds[pg.Code[:2]]
	}
	if !ok {
		kind = wallet.ErrRefused
	}
	return fmt.Errorf("%w: %w", kind, err)
}
