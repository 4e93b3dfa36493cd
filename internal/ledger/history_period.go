package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// clockSkew bounds by how much an operation may be applied, as clocks have it, before an
// earlier one of its wallet: how far the clocks of replicas are apart, and are put back.
const clockSkew = time.Hour

// selectPlace searches a wallet's operations, low to high, by halves: all below low were
// applied before $4 and those from high on at it or later, but for clockSkew. A gap, which
// only a stranger can have made, ends the search early: both bounds still hold.
const selectPlace = `
WITH RECURSIVE search (low, high) AS (
	SELECT $2::bigint, $3::bigint
	UNION ALL
	SELECT CASE WHEN o.applied_at < $4 THEN middle + 1 ELSE low END, CASE WHEN o.applied_at < $4 THEN high ELSE middle END
	FROM (SELECT low, high, (low + high) / 2 AS middle FROM search WHERE low < high) AS half
	JOIN operations o ON o.wallet_id = $1 AND o.sequence = middle)
SELECT low, high FROM search ORDER BY high - low LIMIT 1`

// period returns the sequences [first, end), below top, that can have been applied in the
// query's period, at the cost of some twenty rows: a statement of a month does not look at
// the years around it.
func (l *Ledger) period(ctx context.Context, walletID uuid.UUID, q wallet.Query, top int64) (first, end int64, err error) {
	first, end = 1, top
	var other int64
	if !q.From.IsZero() {
		if err := l.reads.QueryRow(ctx, selectPlace, walletID, first, end, q.From.Add(-clockSkew)).Scan(&first, &other); err != nil {
			return 0, 0, l.heed(err)
		}
	}
	if !q.To.IsZero() {
		if err := l.reads.QueryRow(ctx, selectPlace, walletID, first, end, q.To.Add(clockSkew)).Scan(&other, &end); err != nil {
			return 0, 0, l.heed(err)
		}
	}
	return first, end, nil
}
