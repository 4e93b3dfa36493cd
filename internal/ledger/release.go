package ledger

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/wallet"
)

const selectAside = selectHeads + `
WHERE l.wallet_id > $1 ORDER BY l.wallet_id LIMIT $2`

// Aside returns up to limit wallets that are set aside, each with the first
// operation of its list, by wallet: those after the given one (uuid.Nil: from the
// first).
func (l *Ledger) Aside(ctx context.Context, after uuid.UUID, limit int) ([]wallet.ListHead, error) {
	return collect(ctx, l.reads, scanHead, selectAside, after, limit)
}

// The rows are locked in wallet order, as the batches of their owners do. Only
// not_before moves, and only towards the present: what a list holds is its owner's.
const releaseLists = `
WITH chosen AS MATERIALIZED (
	SELECT * FROM requeued_lists WHERE wallet_id = ANY($1::uuid[]) ORDER BY wallet_id FOR UPDATE
), released AS (
	UPDATE requeued_lists l SET not_before = least(l.not_before, now())
	FROM chosen c WHERE c.wallet_id = l.wallet_id
	RETURNING l.wallet_id, c.length, c.attempt, c.refusals, c.not_before, c.last_error
), traced AS (
	INSERT INTO interventions (who, action, subject, reason, detail)
	SELECT $2, $3, wallet_id::text, $4, jsonb_build_object('length', length, 'attempt', attempt,
		'refusals', refusals, 'notBefore', not_before, 'lastError', last_error)
	FROM released)
SELECT wallet_id FROM released ORDER BY wallet_id`

// Release makes the lists of the wallets due at once and leaves a trace of each,
// in one transaction. It returns those that have a list; the others have none, or
// none any more.
func (l *Ledger) Release(ctx context.Context, wallets []uuid.UUID, who, reason string) ([]uuid.UUID, error) {
	return collect(ctx, l.reads, pgx.RowTo[uuid.UUID], releaseLists, wallets, who, wallet.ActionRelease, reason)
}
