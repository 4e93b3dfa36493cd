package ledger

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// lockTriesOfOneSecond bounds the wait for another replica's migration.
const lockTriesOfOneSecond = 600

// Migrate brings the schema to this program's version and returns the names of
// the migrations it applied. Replicas that start together may all call it: a
// session-level advisory lock lets one migrate while the others wait.
func (l *Ledger) Migrate(ctx context.Context) ([]string, error) {
	// Connections of its own: a migration takes as long as it takes.
	connections, err := pool(l.config, 2, 0, nil)
	if err != nil {
		return nil, err
	}
	defer connections.Close()
	db := stdlib.OpenDBFromPool(connections)
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
	names := make([]string, 0, len(results))
	for _, r := range results {
		names = append(names, r.Source.Path)
	}
	if err != nil {
		return names, fmt.Errorf("migrate: %w", classify(err))
	}
	return names, nil
}
