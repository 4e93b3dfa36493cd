package ledger

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/wallet"
)

// columns are operations turned on their side: one array a column, so that any
// number of rows is one statement with the same plan.
type columns struct {
	walletIDs, ids                []uuid.UUID
	types, status, reason, origin []int16
	amounts                       []int64
	sequence, balance, offsets    []*int64
	accepted, applied             []time.Time
	partitions                    []*int32
}

func newColumns(n int) *columns {
	return &columns{
		walletIDs: make([]uuid.UUID, 0, n), ids: make([]uuid.UUID, 0, n),
		types: make([]int16, 0, n), status: make([]int16, 0, n), reason: make([]int16, 0, n), origin: make([]int16, 0, n),
		amounts:  make([]int64, 0, n),
		sequence: make([]*int64, 0, n), balance: make([]*int64, 0, n), offsets: make([]*int64, 0, n),
		accepted: make([]time.Time, 0, n), applied: make([]time.Time, 0, n),
		partitions: make([]*int32, 0, n),
	}
}

// add appends op. It keeps pointers into op, which must stay as it is until the
// columns are sent.
func (c *columns) add(op *wallet.Operation) {
	c.walletIDs, c.ids = append(c.walletIDs, op.WalletID), append(c.ids, op.ID)
	c.types, c.amounts = append(c.types, int16(op.Type)), append(c.amounts, int64(op.Amount))
	c.status, c.reason = append(c.status, int16(op.Status)), append(c.reason, int16(op.Reason))
	c.origin = append(c.origin, int16(op.Origin))
	c.accepted, c.applied = append(c.accepted, op.AcceptedAt), append(c.applied, op.AppliedAt)
	var sequence, balance, offset *int64
	var partition *int32
	if op.Sequence > 0 {
		sequence, balance = &op.Sequence, (*int64)(&op.BalanceAfter)
	}
	if op.Receipt.Known() {
		partition, offset = &op.Receipt.Partition, &op.Receipt.Offset
	}
	c.sequence, c.balance = append(c.sequence, sequence), append(c.balance, balance)
	c.partitions, c.offsets = append(c.partitions, partition), append(c.offsets, offset)
}

func queueOperations(p *pgx.Batch, ops []wallet.Operation) {
	if len(ops) == 0 {
		return
	}
	c := newColumns(len(ops))
	var direct columns
	var sequences []int64
	for i := range ops {
		c.add(&ops[i])
		if ops[i].Origin == wallet.Direct {
			direct.walletIDs, direct.ids = append(direct.walletIDs, ops[i].WalletID), append(direct.ids, ops[i].ID)
			sequences = append(sequences, ops[i].Sequence)
		}
	}
	p.Queue(insertOperations, c.walletIDs, c.ids, c.sequence, c.types, c.amounts, c.status, c.reason, c.origin,
		c.balance, c.accepted, c.applied, c.partitions, c.offsets)
	if len(direct.ids) > 0 {
		p.Queue(insertUnjournaled, direct.walletIDs, direct.ids, sequences)
	}
}
