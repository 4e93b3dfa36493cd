package main

import (
	"context"
	"fmt"
	"time"
)

// Bounds of waiting for what was accepted to be applied.
const (
	drainTimeout = 2 * time.Minute
	drainPoll    = 10 * time.Millisecond
)

// drained waits until the wallets have as many operations as were accepted. What
// was accepted and is not applied in time is lost, and an error.
func (s *subject) drained(ctx context.Context, wallets []string, accepted int64) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	for applied := int64(0); ; {
		err := s.ledger.QueryRow(ctx, `SELECT coalesce(sum(version), 0) FROM wallets WHERE id = ANY($1::uuid[])`, wallets).Scan(&applied)
		if err != nil {
			return fmt.Errorf("%s: %d of %d accepted operations are applied: %w", s.name, applied, accepted, err)
		}
		if applied >= accepted {
			return nil
		}
		select {
		case <-time.After(drainPoll):
		case <-ctx.Done():
		}
	}
}

// selectHistories holds the wallets' rows against their histories: as many operations as
// were accepted (types and statuses: 1 deposit, 2 withdraw; 1 applied, 2 failed),
// sequences without a gap, the balance the sum of what was applied, the version the
// last sequence, every balance the one before moved by its operation.
const selectHistories = `
WITH o AS (
	SELECT wallet_id, sequence, balance_after, CASE WHEN status = 2 THEN 0 WHEN type = 1 THEN amount ELSE -amount END AS moved,
		balance_after - lag(balance_after, 1, 0::bigint) OVER (PARTITION BY wallet_id ORDER BY sequence) AS step
	FROM operations WHERE wallet_id = ANY($1::uuid[])),
h AS (
	SELECT wallet_id, count(*) AS n, min(sequence) AS first, max(sequence) AS last, sum(moved) AS balance,
		count(*) FILTER (WHERE moved <> step) AS wrong
	FROM o GROUP BY wallet_id)
SELECT coalesce(sum(n), 0), count(*) FILTER (WHERE first <> 1 OR last <> n OR wrong <> 0 OR h.balance <> w.balance OR last <> w.version)
FROM h JOIN wallets w ON w.id = h.wallet_id`

// checkTimeout bounds the reading of the histories.
const checkTimeout = 2 * time.Minute

// check proves the figure: between accepted and accepted + unknown operations are
// in the ledger (a request without an answer may be), and every wallet is exact.
func (s *subject) check(ctx context.Context, wallets []string, accepted, unknown int64) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var operations, wrong int64
	if err := s.ledger.QueryRow(ctx, selectHistories, wallets).Scan(&operations, &wrong); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if operations < accepted || operations > accepted+unknown || wrong > 0 {
		return fmt.Errorf("%s: WRONG: %d operations in the ledger where %d were accepted and %d have no answer; %d wallets are not exact",
			s.name, operations, accepted, unknown, wrong)
	}
	return nil
}
