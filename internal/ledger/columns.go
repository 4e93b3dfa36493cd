package ledger

import (
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/wallet"
)

// columns are operations turned on their side: one array a column, so that any
// number of rows is one statement with the same plan.
type columns struct {
	walletIDs, ids                array
	types, status, reason, origin array
	amounts                       array
	sequence, balance, offsets    array
	accepted, applied             array
	partitions                    array
}

func newColumns(n int) *columns {
	return &columns{
		walletIDs: newIDs(n), ids: newIDs(n),
		types: newInt16s(n), status: newInt16s(n), reason: newInt16s(n), origin: newInt16s(n),
		amounts:  newInt64s(n),
		sequence: newInt64s(n), balance: newInt64s(n), offsets: newInt64s(n),
		accepted: newTimes(n), applied: newTimes(n),
		partitions: newInt32s(n),
	}
}

func (c *columns) add(op *wallet.Operation) {
	c.walletIDs.addID(op.WalletID)
	c.ids.addID(op.ID)
	c.types.addInt16(int16(op.Type))
	c.amounts.addInt64(int64(op.Amount))
	c.status.addInt16(int16(op.Status))
	c.reason.addInt16(int16(op.Reason))
	c.origin.addInt16(int16(op.Origin))
	c.accepted.addTime(op.AcceptedAt)
	c.applied.addTime(op.AppliedAt)
	if op.Sequence > 0 {
		c.sequence.addInt64(op.Sequence)
		c.balance.addInt64(int64(op.BalanceAfter))
	} else {
		c.sequence.addNull()
		c.balance.addNull()
	}
	if op.Receipt.Known() {
		c.partitions.addInt32(op.Receipt.Partition)
		c.offsets.addInt64(op.Receipt.Offset)
	} else {
		c.partitions.addNull()
		c.offsets.addNull()
	}
}

func queueOperations(p *pgx.Batch, ops []wallet.Operation) {
	if len(ops) == 0 {
		return
	}
	c := newColumns(len(ops))
	for i := range ops {
		c.add(&ops[i])
	}
	p.Queue(insertOperations, c.walletIDs, c.ids, c.sequence, c.types, c.amounts, c.status, c.reason, c.origin,
		c.balance, c.accepted, c.applied, c.partitions, c.offsets)
}

// queueUnjournaled notes which of the operations the journal does not have.
func queueUnjournaled(p *pgx.Batch, ops []wallet.Operation) {
	walletIDs, ids, sequences := newIDs(0), newIDs(0), newInt64s(0)
	direct := false
	for i := range ops {
		if ops[i].Origin == wallet.Direct {
			direct = true
			walletIDs.addID(ops[i].WalletID)
			ids.addID(ops[i].ID)
			sequences.addInt64(ops[i].Sequence)
		}
	}
	if direct {
		p.Queue(insertUnjournaled, walletIDs, ids, sequences)
	}
}

// keyColumns are keys as the two arrays of a statement's parameters.
func keyColumns(keys []wallet.Key) (walletIDs, ids []uuid.UUID) {
	walletIDs, ids = make([]uuid.UUID, len(keys)), make([]uuid.UUID, len(keys))
	for i, k := range keys {
		walletIDs[i], ids[i] = k.WalletID, k.ID
	}
	return walletIDs, ids
}
