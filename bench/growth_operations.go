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
func (b *bench) operationsCurve(ctx context.Context, s *subject, w io.Writer, points []int) ([]target, error) {
	fmt.Fprintf(w, "operations of others in the ledger\tapplied/s\tCPU µs per operation\tempty handler µs\trelative\tpage of 50 ms\toperation by id ms\tcached balance ms\n")
	var first, last operationsPoint
	var cost, page, one float64 // the worst of all points, of the first's
	have := 0
	for i, n := range points {
		var err error
		if have, err = b.fillTo(ctx, s, have, n); err != nil {
			return nil, err
		}
		if last, err = b.operationsPoint(ctx, s); err != nil {
			return nil, err
		}
		if i == 0 {
			first = last
		}
		cost = max(cost, last.relative(first.point))
		page = max(page, last.page/last.balance/(first.page/first.balance))
		one = max(one, last.one/last.balance/(first.one/first.balance))
		fmt.Fprintf(w, "%d\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\n", have, last.PerSecond, last.cost(), last.unit, last.relative(first.point), last.page, last.one, last.balance)
	}
	at := fmt.Sprintf("with up to %d operations of others in the ledger, at most, of its cost with %d", have, points[0])
	return []target{
		atMost("an operation "+at, cost, operationsGrowth, ""),
		atMost("a page of 50 "+at+", in cached balances", page, operationsGrowth, ""),
		atMost("an operation by id "+at+", in cached balances", one, operationsGrowth, ""),
	}, nil
}

// operationsPoint is a load's figure, and the medians of look-ups in ms after it. A
// balance comes from the cache, whatever the ledger holds: it is the yardstick of the
// others, as the empty handler is of an operation's cost.
type operationsPoint struct {
	point
	lookups
}

// lookups are medians in ms: of a history page, an operation by id and a cached balance.
type lookups struct{ page, one, balance float64 }

func (b *bench) operationsPoint(ctx context.Context, s *subject) (p operationsPoint, err error) {
	if err = s.settle(ctx); err != nil {
		return p, err
	}
	if p.unit, err = b.calibrate(ctx); err != nil {
		return p, err
	}
	if p.figure, err = b.measure(ctx, cell{Subject: flushed, load: load{Connections: growthConnections, Wallets: 1}}); err != nil {
		return p, err
	}
	p.lookups, err = s.timeLookups(ctx)
	return p, err
}

// fillTo brings the ledger from as many operations of others as it has to n.
func (b *bench) fillTo(ctx context.Context, s *subject, have, n int) (int, error) {
	for ; have < n; have += fillWallets * 1000 {
		fmt.Fprintf(b.say, "filling the ledger: %d of %d operations\n", have, n)
		if err := s.asJournaled(ctx, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, fill, fillWallets); return err }); err != nil {
			return have, err
		}
	}
	return have, nil
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

// pickPlaces picks operations at random: of the wallet that comes after a random id, or of
// the first, any.
const pickPlaces = `
WITH r AS MATERIALIZED (SELECT gen_random_uuid() AS id, random() AS at FROM generate_series(1, $1)),
w AS (SELECT r.at, coalesce(
	(SELECT w.id FROM wallets w WHERE w.id >= r.id AND version > 0 ORDER BY w.id LIMIT 1),
	(SELECT w.id FROM wallets w WHERE version > 0 ORDER BY w.id LIMIT 1)) AS id FROM r)
SELECT o.wallet_id, o.operation_id FROM w JOIN wallets USING (id) JOIN operations o ON o.wallet_id = w.id AND o.sequence = 1 + floor(w.at * version)`

// timeLookups times each kind of look-up, of wallets picked anew.
func (s *subject) timeLookups(ctx context.Context) (lookups, error) {
	rows, err := s.ledger.Query(ctx, pickPlaces, lookupTries)
	if err != nil {
		return lookups{}, err
	}
	places, err := pgx.CollectRows(rows, pgx.RowToStructByPos[place])
	if err != nil {
		return lookups{}, err
	}
	if len(places) < lookupTries {
		return lookups{}, fmt.Errorf("%d of %d operations were found to look up", len(places), lookupTries)
	}
	var took [3][]float64
	for _, p := range places {
		wallet := s.process.url + "/api/v1/wallets/" + p.Wallet.String()
		for i, url := range []string{wallet, wallet + "/operations", wallet + "/operations/" + p.Operation.String()} {
			if i == 0 { // the first reading brings it into the cache
				if _, err := get(ctx, url); err != nil {
					return lookups{}, err
				}
			}
			t, err := get(ctx, url)
			if err != nil {
				return lookups{}, err
			}
			took[i] = append(took[i], t)
		}
	}
	return lookups{page: newSpread(took[1]).Median, one: newSpread(took[2]).Median, balance: newSpread(took[0]).Median}, nil
}

// place is where an operation is found.
type place struct{ Wallet, Operation uuid.UUID }

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
