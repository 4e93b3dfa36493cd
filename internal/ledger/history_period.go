package ledger

import (
	"context"
	"time"
)

// clockSkew bounds how much earlier an operation's applied_at may be than that of the
// operation before it in its wallet: replicas' clocks differ, and clocks are set back.
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
func (p *pager) period(ctx context.Context, top int64) (first, end int64, err error) {
	first, end = 1, top
	var other int64
	if from := p.query.From; !from.IsZero() {
		err = p.ledger.asked.row(ctx, []any{&first, &other}, selectPlace, p.walletID, first, end, from.Add(-clockSkew))
	}
	if to := p.query.To; err == nil && !to.IsZero() {
		err = p.ledger.asked.row(ctx, []any{&other, &end}, selectPlace, p.walletID, first, end, to.Add(clockSkew))
	}
	return first, end, err
}
