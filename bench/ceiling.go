package main

import (
	"context"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

// postgresItself measures PostgreSQL without a service in front, on one
// connection: batches with the same rows and conditions as walletd's (ledger.Commit),
// or, for a lone request, the smallest durable commit there is.
func (c *components) postgresItself(ctx context.Context, of cell, d time.Duration) (figure, error) {
	if of.Bulk == 0 {
		return c.bareCommits(ctx, d)
	}
	dsn, err := c.database(ctx, "ceiling_"+time.Now().Format("150405000000"))
	if err != nil {
		return figure{}, err
	}
	l, err := ledger.Open(ledger.Config{DSN: dsn, CommitConnections: 1, ReadConnections: 1, ConnectTimeout: readyTimeout,
		CommitTimeout: readyTimeout, ReadTimeout: readyTimeout, LockTimeout: time.Second, Log: quiet})
	if err != nil {
		return figure{}, err
	}
	defer l.Close()
	if _, err := l.Migrate(ctx); err != nil {
		return figure{}, err
	}
	id := uuid.New()
	if err := l.Commit(ctx, &wallet.Batch{Creates: []wallet.Creation{{ID: id, At: time.Now()}}}); err != nil {
		return figure{}, err
	}
	before, start, n := used(c.postgres.Pid()), time.Now(), 0
	for state := (wallet.State{}); time.Since(start) < d; n += of.Bulk {
		var b wallet.Batch
		b, state = deposits(id, state, of.Bulk)
		if err := l.Commit(ctx, &b); err != nil {
			return figure{}, err
		}
	}
	took := time.Since(start)
	return figure{PerSecond: float64(n) / took.Seconds(), RSSMiB: map[string]int64{}, CPUMicros: map[string]float64{
		"postgres": float64((used(c.postgres.Pid()).CPU - before.CPU).Microseconds()) / float64(n)}}, nil
}

// deposits computes a batch as the applier would.
func deposits(id uuid.UUID, from wallet.State, n int) (wallet.Batch, wallet.State) {
	now, state := time.Now().UTC(), from
	b := wallet.Batch{Operations: make([]wallet.Operation, n)}
	for i := range b.Operations {
		op := wallet.Operation{ID: wallet.OperationID(id, ""), WalletID: id, Type: wallet.Deposit, Amount: 1, AcceptedAt: now,
			Receipt: wallet.Receipt{Offset: state.Sequence}}
		state, b.Operations[i] = wallet.Apply(state, op, now)
	}
	b.Changes = []wallet.Change{{ID: id, FromSequence: from.Sequence, State: state, At: now}}
	return b, state
}

// bareCommits times one-row transactions, one after the other.
func (c *components) bareCommits(ctx context.Context, d time.Duration) (figure, error) {
	conn, err := pgx.Connect(ctx, c.postgres.DSN())
	if err != nil {
		return figure{}, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS bare (n bigint)`); err != nil {
		return figure{}, err
	}
	times, start, n := hdrhistogram.New(1, time.Minute.Microseconds(), 3), time.Now(), int64(0)
	for ; time.Since(start) < d; n++ {
		one := time.Now()
		if _, err := conn.Exec(ctx, `INSERT INTO bare VALUES ($1)`, n); err != nil {
			return figure{}, err
		}
		_ = times.RecordValue(min(time.Since(one), time.Minute).Microseconds())
	}
	at := func(q float64) float64 { return float64(times.ValueAtQuantile(q)) / 1000 }
	return figure{PerSecond: float64(n) / time.Since(start).Seconds(), RSSMiB: map[string]int64{}, CPUMicros: map[string]float64{},
		Latency: latency{P50: at(50), P99: at(99)}}, nil
}
