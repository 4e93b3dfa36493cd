package applier

import (
	"cmp"
	"slices"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// fromOffset returns the records at next and after it: another owner, or a commit whose
// outcome was unknown, has passed the others.
func fromOffset(records []wallet.Record, next int64) []wallet.Record {
	i, _ := slices.BinarySearchFunc(records, next, func(r wallet.Record, next int64) int {
		return cmp.Compare(r.Receipt.Offset, next)
	})
	return records[i:]
}

// walletsOf returns the wallets of the records, each once.
func walletsOf(records []wallet.Record) []uuid.UUID {
	seen := make(map[uuid.UUID]struct{}, 16)
	ids := make([]uuid.UUID, 0, 16)
	for _, r := range records {
		if _, ok := seen[r.WalletID]; !ok && r.Kind != wallet.KindPoison {
			seen[r.WalletID] = struct{}{}
			ids = append(ids, r.WalletID)
		}
	}
	return ids
}

// weight is what a record counts towards bounds.
func weight(r wallet.Record) int { return max(1, len(r.Operations)) }

// firstAccepted is when the first operation of the records was accepted, in microseconds;
// 0: there is none.
func firstAccepted(records []wallet.Record) int64 {
	for i := range records {
		if ops := records[i].Operations; len(ops) > 0 {
			return ops[0].AcceptedAt.UnixMicro()
		}
	}
	return 0
}

// oldestAccepted is when the first accepted of the operations was, in microseconds; 0: there
// is none.
func oldestAccepted(ops []wallet.Operation) int64 {
	if len(ops) == 0 {
		return 0
	}
	return slices.MinFunc(ops, func(a, b wallet.Operation) int { return a.AcceptedAt.Compare(b.AcceptedAt) }).AcceptedAt.UnixMicro()
}
