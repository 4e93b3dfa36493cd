package balance

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// A message's body is its version and operations, by hand: encoding/json costs more
// than all else that happens to the outcomes of a bulk. Integers are varints as of
// Protocol Buffers, times are microseconds since 1970.
//
//	id[16] wallet[16] type status reason origin amount sequence balanceAfter acceptedAt appliedAt partition offset
//
// A replica of another version passes over what it does not know: its requests
// find their outcomes in the ledger.
const messageVersion = 1

// usualOperationBytes is room for an operation.
const usualOperationBytes = 72

var errMessage = errors.New("of another version, or cut off")

func appendOperation(b []byte, op *wallet.Operation) []byte {
	b = append(append(b, op.ID[:]...), op.WalletID[:]...)
	b = append(b, byte(op.Type), byte(op.Status), byte(op.Reason), byte(op.Origin))
	for _, v := range [...]int64{
		int64(op.Amount), op.Sequence, int64(op.BalanceAfter), op.AcceptedAt.UnixMicro(), op.AppliedAt.UnixMicro(),
		int64(op.Receipt.Partition), op.Receipt.Offset,
	} {
		b = binary.AppendVarint(b, v)
	}
	return b
}

func readMessage(b []byte) ([]wallet.Operation, error) {
	if len(b) == 0 || b[0] != messageVersion {
		return nil, errMessage
	}
	b = b[1:]
	ops := make([]wallet.Operation, 0, len(b)/(usualOperationBytes/2))
	for len(b) > 0 {
		var op wallet.Operation
		n := readOperation(b, &op)
		if n == 0 {
			return nil, errMessage
		}
		ops, b = append(ops, op), b[n:]
	}
	return ops, nil
}

// isOutcome reports whether every part has a name: what has none cannot be answered.
func isOutcome(op *wallet.Operation) bool {
	decided := op.Status == wallet.Applied || op.Status == wallet.Failed
	return decided && (op.Type.String() != "" || op.IsCreation()) && op.Reason <= wallet.WalletMissing && op.Origin <= wallet.Direct
}

// readOperation returns how many bytes it took; 0: it is not whole, or no outcome.
func readOperation(b []byte, op *wallet.Operation) int {
	const fixed = 2*len(uuid.UUID{}) + 4
	if len(b) < fixed {
		return 0
	}
	copy(op.ID[:], b)
	copy(op.WalletID[:], b[len(op.ID):])
	op.Type, op.Status, op.Reason, op.Origin = wallet.Type(b[fixed-4]), wallet.Status(b[fixed-3]), wallet.Reason(b[fixed-2]), wallet.Origin(b[fixed-1])
	if !isOutcome(op) {
		return 0
	}
	at := fixed
	var v [7]int64
	for i := range v {
		value, n := binary.Varint(b[at:])
		if n <= 0 {
			return 0
		}
		v[i], at = value, at+n
	}
	op.Amount, op.Sequence, op.BalanceAfter = wallet.Amount(v[0]), v[1], wallet.Amount(v[2])
	op.AcceptedAt, op.AppliedAt = time.UnixMicro(v[3]).UTC(), time.UnixMicro(v[4]).UTC()
	op.Receipt = wallet.Receipt{Partition: int32(v[5]), Offset: v[6]}
	return at
}
