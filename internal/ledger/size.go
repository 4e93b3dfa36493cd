package ledger

import "context"

// Bytes returns how much of its disk the database occupies.
func (l *Ledger) Bytes(ctx context.Context) (int64, error) {
	ctx, cancel, err := l.reading(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	var n int64
	err = l.reads.row(ctx, []any{&n}, `SELECT pg_database_size(current_database())`)
	return n, err
}
