package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walletd/walletd/internal/wallet"
)

// connections are a pool with a time limit for each call. While down returns an error, calls
// fail at once; every other error goes through heed.
type connections struct {
	pool    *pgxpool.Pool
	timeout time.Duration
	down    func() error
	heed    func(error) error
}

// begin bounds a call's time.
func (c connections) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := c.down(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", wallet.ErrUnavailable, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	return ctx, cancel, nil
}

// collect returns what scan makes of the rows of a query.
func collect[T any](ctx context.Context, c connections, scan pgx.RowToFunc[T], query string, args ...any) ([]T, error) {
	ctx, cancel, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	rows, err := c.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, c.heed(err)
	}
	all, err := pgx.CollectRows(rows, scan)
	return all, c.heed(err)
}

// each calls row for every row of a query, with its columns in targets.
func (c connections) each(ctx context.Context, targets []any, row func(), query string, args ...any) error {
	ctx, cancel, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	rows, err := c.pool.Query(ctx, query, args...)
	if err != nil {
		return c.heed(err)
	}
	_, err = pgx.ForEachRow(rows, targets, func() error { row(); return nil })
	return c.heed(err)
}

// row brings the one row of a query into the targets.
func (c connections) row(ctx context.Context, targets []any, query string, args ...any) error {
	ctx, cancel, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return c.heed(c.pool.QueryRow(ctx, query, args...).Scan(targets...))
}

// exec runs a statement and returns how many rows it has changed.
func (c connections) exec(ctx context.Context, statement string, args ...any) (int64, error) {
	ctx, cancel, err := c.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	tag, err := c.pool.Exec(ctx, statement, args...)
	return tag.RowsAffected(), c.heed(err)
}

// send runs the batch's statements as one transaction. It reads to the end of that: only
// nil is a commit.
func (c connections) send(ctx context.Context, p *pgx.Batch) error {
	ctx, cancel, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return c.heed(c.pool.SendBatch(ctx, p).Close())
}

// openPool prepares connections whose statements may take as long as timeout; 0 is for ever.
func openPool(cfg Config, size int32, timeout time.Duration, params map[string]string) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(cfg.DSN)
	if err != nil {
		// The parser's own error may quote the DSN; it is not passed on.
		return nil, errors.New("the ledger's connection string is malformed")
	}
	c.MaxConns = size
	c.ConnConfig.ConnectTimeout = cfg.ConnectTimeout
	c.AfterConnect = takeArrays
	run := c.ConnConfig.RuntimeParams
	run["application_name"] = "walletd"
	run["timezone"] = "UTC"
	// While scans are disabled, a plan that has one all the same, of the one row of journal,
	// is estimated so dear that the server compiles it to machine code before it runs it, which
	// took 85 ms where the look-up itself takes one or two.
	run["jit"] = "off"
	// The server gives up before we do, so that nothing of ours runs on there.
	run["statement_timeout"] = milliseconds(timeout * 9 / 10)
	// And it ends a transaction whose rest does not come, because this process was stopped or
	// its host is gone: it runs each statement as it arrives, and would hold the fence's lock
	// for as long as TCP believes in the connection. No other timeout looks in that state.
	run["transaction_timeout"] = milliseconds(timeout)
	maps.Copy(run, params)
	p, err := pgxpool.NewWithConfig(context.Background(), c)
	if err != nil {
		return nil, fmt.Errorf("prepare connections to the ledger: %w", err)
	}
	return p, nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
