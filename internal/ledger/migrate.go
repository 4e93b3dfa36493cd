package ledger

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/walletd/walletd/internal/wallet"
)

//go:embed migrations/*.sql
var migrations embed.FS

// lockTriesOfOneSecond bounds the wait for another replica's migration.
const lockTriesOfOneSecond = 600

// lockPause is how long a migration lets others through, after it has waited in vain
// for a table that somebody holds.
const lockPause = 2 * time.Second

// Migrate brings the schema to this program's version and returns the names of
// the migrations it applied. Replicas that start together may all call it: a
// session-level advisory lock lets one migrate while the others wait.
//
// It takes as long as it takes, until ctx ends, but never queues for a table's lock for
// longer than half of LockTimeout: what batches do to the table queues behind it, and
// would have their wallets set aside. It tries again instead. A migration that locks more
// than one table that batches use holds the first while it queues for the second: such
// are written as several.
func (l *Ledger) Migrate(ctx context.Context) ([]string, error) {
	var applied []string
	for {
		names, err := l.migrate(ctx)
		applied = append(applied, names...)
		if !errors.Is(err, wallet.ErrLocked) {
			return applied, err
		}
		l.config.Log.Warn("a migration waits for a table that somebody holds", "error", err)
		select {
		case <-ctx.Done():
			return applied, err
		case <-time.After(lockPause):
		}
	}
}

func (l *Ledger) migrate(ctx context.Context) ([]string, error) {
	// Connections of its own: no statement of theirs has a timeout.
	own, err := openPool(l.config, 2, 0, map[string]string{"lock_timeout": milliseconds(l.config.LockTimeout / 2)})
	if err != nil {
		return nil, err
	}
	defer own.Close()
	db := stdlib.OpenDBFromPool(own)
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, lockTriesOfOneSecond))
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return nil, fmt.Errorf("prepare migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results = partial.Applied
	}
	names := make([]string, 0, len(results))
	for _, r := range results {
		names = append(names, r.Source.Path)
	}
	if err != nil {
		return names, fmt.Errorf("migrate: %w", classify(err))
	}
	return names, nil
}
