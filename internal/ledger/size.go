package ledger

import "context"

// Bytes returns how much of its disk the database occupies.
func (l *Ledger) Bytes(ctx context.Context) (int64, error) {
	var n int64
	err := l.asked.row(ctx, []any{&n}, `SELECT pg_database_size(current_database())`)
	return n, err
}
