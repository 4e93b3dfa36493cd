package ledger

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/wallet"
)

const insertIntervention = `
INSERT INTO interventions (who, action, subject, reason, detail) VALUES ($1, $2, $3, $4, $5)`

func queueIntervention(p *pgx.Batch, i wallet.Intervention) {
	detail := make(map[string]any, len(i.Detail))
	for k, v := range i.Detail {
		if text, ok := v.(string); ok {
			v = storable(text)
		}
		detail[k] = v
	}
	p.Queue(insertIntervention, storable(i.Who), i.Action, i.Subject, storable(i.Reason), detail)
}

// storable is a text, which may be a stranger's, as PostgreSQL takes it: in UTF-8, without
// the character that it has no room for.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

const selectInterventions = `
SELECT id, at, who, action, subject, reason, detail FROM interventions
WHERE ($1 = 0 OR id < $1) ORDER BY id DESC LIMIT $2`

// Interventions returns up to limit traces of operators' acts, newest first: those
// before an id, or the newest if that is 0.
func (l *Ledger) Interventions(ctx context.Context, before int64, limit int) ([]wallet.Intervention, error) {
	return collect(ctx, l.reads, scanIntervention, selectInterventions, before, limit)
}

func scanIntervention(row pgx.CollectableRow) (wallet.Intervention, error) {
	var i wallet.Intervention
	err := row.Scan(&i.ID, &i.At, &i.Who, &i.Action, &i.Subject, &i.Reason, &i.Detail)
	i.At = i.At.UTC()
	return i, err
}

// One operator at a time resolves a letter: nothing in the table could be locked
// before its first trace is there.
const lockSubject = `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`

const expectNoIntervention = `
SELECT expect((SELECT count(*) FROM interventions WHERE subject = $1 AND action = ANY($2)), 0, '` + stateResolved + `')`

// Resolve leaves the trace of what became of a dead letter. It is refused with ErrResolved
// when there is one already, also when two operators write at once.
func (l *Ledger) Resolve(ctx context.Context, i wallet.Intervention) error {
	var p pgx.Batch
	p.Queue(lockSubject, i.Subject)
	p.Queue(expectNoIntervention, i.Subject, resolving)
	queueIntervention(&p, i)
	return l.commits.send(ctx, &p)
}

// ResolveAgain is Resolve whatever traces are there.
func (l *Ledger) ResolveAgain(ctx context.Context, i wallet.Intervention) error {
	var p pgx.Batch
	queueIntervention(&p, i)
	return l.commits.send(ctx, &p)
}

// resolving are the actions that end the story of a dead letter.
var resolving = []wallet.Action{wallet.ActionReplay, wallet.ActionDiscard}

const selectResolved = `
SELECT DISTINCT ON (subject) id, at, who, action, subject, reason, detail FROM interventions
WHERE subject = ANY($1) AND action = ANY($2) ORDER BY subject, id DESC`

// Resolved returns, for those of the dead letters that were resolved, the last trace.
func (l *Ledger) Resolved(ctx context.Context, subjects []string) (map[string]wallet.Intervention, error) {
	all, err := collect(ctx, l.reads, scanIntervention, selectResolved, subjects, resolving)
	resolved := make(map[string]wallet.Intervention, len(all))
	for _, i := range all {
		resolved[i.Subject] = i
	}
	return resolved, err
}
