package httpapi

import (
	"strconv"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

const walletsPath = "/api/v1/wallets/"

// maxLocationBytes is room for the longest Location: two ids and a receipt.
const maxLocationBytes = 160

func walletLocation(id uuid.UUID) string {
	return string(appendID(append(make([]byte, 0, maxLocationBytes), walletsPath...), id))
}

// operationLocation is the path of op, with its receipt if it has one: with that,
// any replica finds the operation before the ledger has it.
func operationLocation(op *wallet.Operation) string {
	return string(appendLocation(make([]byte, 0, maxLocationBytes), op))
}

func appendLocation(b []byte, op *wallet.Operation) []byte {
	b = appendID(append(b, walletsPath...), op.WalletID)
	b = appendID(append(b, "/operations/"...), op.ID)
	if op.Receipt.Known() {
		b = strconv.AppendInt(append(b, "?journal="...), int64(op.Receipt.Partition), 10)
		b = strconv.AppendInt(append(b, '-'), op.Receipt.Offset, 10)
	}
	return b
}
