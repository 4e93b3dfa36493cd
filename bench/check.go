package main

import (
	"context"
	"fmt"
	"time"
)

// Bounds of waiting for what was accepted to be applied: a backlog of a million on a slow
// machine too.
const (
	drainTimeout = 10 * time.Minute
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
// were accepted (types and statuses: 1 deposit, 2 withdraw; 1 applied, 2 failed), their amounts,
// sequences without a gap, the balance the sum of what was applied, the version the
// last sequence, every balance the one before moved by its operation, and refused exactly
// what would have left the balance's bounds.
const selectHistories = `
WITH o AS (
	SELECT wallet_id, sequence, status, balance_after, lag(balance_after, 1, 0::bigint) OVER (PARTITION BY wallet_id ORDER BY sequence) AS before,
		CASE WHEN type = 1 THEN amount ELSE -amount END AS asked
	FROM operations WHERE wallet_id = ANY($1::uuid[])),
h AS (
	SELECT wallet_id, count(*) AS n, min(sequence) AS first, max(sequence) AS last,
		coalesce(sum(asked) FILTER (WHERE status = 1), 0) AS balance, count(*) FILTER (WHERE status = 2) AS failed, sum(abs(asked)) AS amount,
		count(*) FILTER (WHERE balance_after <> before + CASE WHEN status = 1 THEN asked ELSE 0 END
			OR (status = 1) <> (before + asked BETWEEN 0 AND 9007199254740991)) AS wrong
	FROM o GROUP BY wallet_id)
SELECT coalesce(sum(n), 0), coalesce(sum(failed), 0), coalesce(sum(amount), 0),
	count(*) FILTER (WHERE first <> 1 OR last <> n OR wrong <> 0 OR h.balance <> w.balance OR last <> w.version)
FROM h JOIN wallets w ON w.id = h.wallet_id`

// checkTimeout bounds the reading of the histories.
const checkTimeout = 2 * time.Minute

// check proves what the loads on these wallets were told: as many operations are in the
// ledger as were promised, as many of them refused as were told so, and every wallet is
// exact. Those answered 202, or in a bulk, may be refused or not. The sum of their amounts,
// which are drawn at random, shows one that is lost where another was applied twice. With a
// request that has no answer no count proves anything.
func (s *subject) check(ctx context.Context, wallets []string, told answers) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if n := told.unknown(); n > 0 {
		return fmt.Errorf("%s: %d requests have no answer", s.name, n)
	}
	var operations, failed, amount, wrong int64
	if err := s.ledger.QueryRow(ctx, selectHistories, wallets).Scan(&operations, &failed, &amount, &wrong); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	least, most := told.refused()
	if operations != told.promised() || amount != told.Amount || failed < least || failed > most || wrong > 0 {
		return fmt.Errorf("%s: WRONG: %d operations of %d in the ledger, %d of them refused, where %d of %d were accepted and %d told that they are refused; %d wallets are not exact",
			s.name, operations, amount, failed, told.promised(), told.Amount, told.Refused, wrong)
	}
	return nil
}

// checkAll proves at the end that the ledger has got nothing more than all loads were told.
func (s *subject) checkAll(ctx context.Context) error {
	if s.ledger == nil {
		return nil
	}
	var applied int64
	if err := s.ledger.QueryRow(ctx, `SELECT coalesce(sum(version), 0)::bigint FROM wallets`).Scan(&applied); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if least := s.told.promised(); applied < least || applied > least+s.told.unknown() {
		return fmt.Errorf("%s: WRONG: %d operations in the ledger where %d were accepted in all, and %d have no answer", s.name, applied, least, s.told.unknown())
	}
	return nil
}
