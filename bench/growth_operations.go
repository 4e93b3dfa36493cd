package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// fill brings the ledger to n operations: histories of a thousand deposits each, as
// the applier would have written them.
const fill = `
WITH w AS (
	INSERT INTO wallets (id, balance, version, created_at, updated_at)
	SELECT gen_random_uuid(), 1000, 1000, now(), now() FROM generate_series(1, $1) RETURNING id)
INSERT INTO operations (wallet_id, operation_id, sequence, type, amount, status, reason, origin, balance_after, accepted_at, applied_at, partition, journal_offset)
SELECT id, gen_random_uuid(), n, 1, 1, 1, 0, 0, n, now(), now(), 0, 0 FROM w, generate_series(1, 1000) AS n`

// fillWallets is how many wallets one statement fills.
const fillWallets = 500

// operationsCurve measures the same load, a page and a look-up as the ledger grows.
func (b *bench) operationsCurve(ctx context.Context, w io.Writer, points []int) error {
	fmt.Fprintf(w, "operations in the ledger\tapplied/s\tCPU µs per operation\tloader µs\trelative\tpage of 50 ms\toperation by id ms\n")
	s, first, last, have := b.subjects[flushed], figure{}, figure{}, 0
	for _, n := range points {
		for ; have < n; have += fillWallets * 1000 {
			fmt.Fprintf(b.say, "filling the ledger: %d of %d operations\n", have, n)
			if err := s.asJournaled(ctx, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, fill, fillWallets); return err }); err != nil {
				return err
			}
		}
		if err := s.settle(ctx); err != nil {
			return err
		}
		var err error
		if last, err = b.measure(ctx, cell{Subject: flushed, load: load{Connections: growthConnections, Wallets: 1}}); err != nil {
			return err
		}
		page, one, err := b.lookups(ctx)
		if err != nil {
			return err
		}
		if first.Sent == 0 {
			first = last
		}
		fmt.Fprintf(w, "%d\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\n", have, last.PerSecond, last.cost(), last.CPUMicros[loader], last.beside(first), page, one)
	}
	_, err := fmt.Fprintln(w, last.verdict(first, operationsGrowth))
	return err
}

// asJournaled inserts wallets as the applier does, whose create records are in the
// journal: for others walletd would write one each, beside the load.
func (s *subject) asJournaled(ctx context.Context, insert func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.ledger, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config('walletd.journaled', 'yes', true)`); err != nil {
			return err
		}
		return insert(tx)
	})
}

// settle does what a server has done by itself before long.
func (s *subject) settle(ctx context.Context) error {
	for _, statement := range []string{"VACUUM (ANALYZE) wallets", "VACUUM (ANALYZE) operations", "CHECKPOINT"} {
		if _, err := s.ledger.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// lookupTries is how often each look-up is made; its median is shown.
const lookupTries = 200

// lookups times a history page and an operation by id, of wallets picked anew.
func (b *bench) lookups(ctx context.Context) (page, one float64, err error) {
	s := b.subjects[flushed]
	rows, err := s.ledger.Query(ctx, `SELECT wallet_id, operation_id FROM operations TABLESAMPLE SYSTEM (0.1) WHERE sequence IS NOT NULL LIMIT $1`, lookupTries)
	if err != nil {
		return 0, 0, err
	}
	var pages, ones []float64
	type place struct{ wallet, operation uuid.UUID }
	var places []place
	for rows.Next() {
		var p place
		if err := rows.Scan(&p.wallet, &p.operation); err != nil {
			return 0, 0, err
		}
		places = append(places, p)
	}
	if err := rows.Err(); err != nil {
		return 0, 0, err
	}
	for _, p := range places {
		at := s.process.url + "/api/v1/wallets/" + p.wallet.String() + "/operations"
		t, err := get(ctx, at)
		if err != nil {
			return 0, 0, err
		}
		pages = append(pages, t)
		if t, err = get(ctx, at+"/"+p.operation.String()); err != nil {
			return 0, 0, err
		}
		ones = append(ones, t)
	}
	return newSpread(pages).Median, newSpread(ones).Median, nil
}

// get returns the milliseconds of a successful GET.
func get(ctx context.Context, url string) (float64, error) {
	start := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return float64(time.Since(start).Microseconds()) / 1000, err
}
