package httpapi

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// The answers are encoded by hand: every POST has one, and encoding/json costs
// more than all else that happens to it here. Tests hold the encoders against
// encoding/json and the generated types.

func appendOperation(b []byte, op *wallet.Operation) []byte {
	b = appendID(append(b, `{"operationId":"`...), op.ID)
	b = appendID(append(b, `","walletId":"`...), op.WalletID)
	b = append(b, '"')
	if op.Type != 0 {
		b = append(append(b, `,"operationType":"`...), op.Type.String()...)
		b = strconv.AppendInt(append(b, `","amount":`...), int64(op.Amount), 10)
	}
	b = append(append(append(b, `,"status":"`...), op.Status.String()...), '"')
	if op.Status == wallet.Failed {
		b = append(append(append(b, `,"reason":"`...), op.Reason.String()...), '"')
	}
	if op.Sequence > 0 {
		b = strconv.AppendInt(append(b, `,"balanceAfter":`...), int64(op.BalanceAfter), 10)
		b = strconv.AppendInt(append(b, `,"sequence":`...), op.Sequence, 10)
	}
	if op.Status != wallet.Pending {
		b = append(append(append(b, `,"origin":"`...), op.Origin.String()...), '"')
	}
	b = appendTime(b, `,"acceptedAt":"`, op.AcceptedAt)
	b = appendTime(b, `,"appliedAt":"`, op.AppliedAt)
	if op.Receipt.Known() {
		b = strconv.AppendInt(append(b, `,"partition":`...), int64(op.Receipt.Partition), 10)
		b = strconv.AppendInt(append(b, `,"offset":`...), op.Receipt.Offset, 10)
	}
	return append(b, '}')
}

func appendOutcome(b []byte, op *wallet.Operation) []byte {
	return append(appendBalance(appendOperation(append(b, `{"operation":`...), op), op), '}')
}

func appendBalance(b []byte, op *wallet.Operation) []byte {
	if op.Sequence > 0 {
		b = strconv.AppendInt(append(b, `,"balance":`...), int64(op.BalanceAfter), 10)
		b = strconv.AppendInt(append(b, `,"sequence":`...), op.Sequence, 10)
	}
	return b
}

func appendOutcomes(b []byte, outs []wallet.Outcome) []byte {
	b = slices.Grow(b, len(outs)*usualOutcomeBytes)
	b = append(b, `{"outcomes":[`...)
	for i := range outs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendBulkOutcome(b, &outs[i])
	}
	return append(b, `]}`...)
}

// usualOutcomeBytes is room for most outcomes of a bulk.
const usualOutcomeBytes = 480

// appendBulkOutcome appends what one operation's own answer would say, its headers
// included.
func appendBulkOutcome(b []byte, out *wallet.Outcome) []byte {
	op := &out.Operation
	b = appendOperation(append(b, `{"operation":`...), op)
	switch {
	case out.KeyReused:
		b = appendCode(b, wallet.CodeIdempotencyKeyReused)
	case op.Status == wallet.Failed:
		b = appendCode(appendBalance(b, op), refusal(op).code)
	default:
		b = appendBalance(b, op)
	}
	if out.Replayed {
		b = append(b, `,"replayed":true`...)
	}
	if op.Status == wallet.Pending {
		b = append(appendLocation(append(b, `,"location":"`...), op), '"')
	}
	return append(b, '}')
}

func appendCode(b []byte, code wallet.Code) []byte {
	return append(append(append(b, `,"code":"`...), code...), '"')
}

func appendWallet(b []byte, w *wallet.Wallet) []byte {
	b = appendID(append(b, `{"walletId":"`...), w.ID)
	b = strconv.AppendInt(append(b, `","balance":`...), int64(w.Balance), 10)
	b = strconv.AppendInt(append(b, `,"sequence":`...), w.Sequence, 10)
	b = appendMicros(append(b, `,"updatedAt":"`...), w.UpdatedAt)
	return append(b, `"}`...)
}

func appendList(b []byte, id uuid.UUID, page *wallet.Page) []byte {
	b = append(b, `{"operations":[`...)
	for i := range page.Operations {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendOperation(b, &page.Operations[i])
	}
	b = append(b, ']')
	if page.Next != nil {
		b = append(append(append(b, `,"nextCursor":"`...), formatCursor(id, *page.Next)...), '"')
	}
	return append(b, '}')
}

func appendProblem(b []byte, p problem) []byte {
	b = append(append(b, `{"type":"urn:walletd:problem:`...), p.code...)
	b = appendString(append(b, `","title":`...), p.title)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(p.status), 10)
	b = appendString(append(b, `,"detail":`...), p.detail)
	b = append(append(b, `,"code":"`...), p.code...)
	b = strconv.AppendBool(append(b, `","retryable":`...), p.retryable)
	b = append(append(append(b, `,"outcome":"`...), p.fate...), '"')
	for i, f := range p.faults {
		b = append(b, []string{`,"errors":[`, `,`}[min(i, 1)]...)
		b = appendString(append(b, `{"field":`...), f.Field)
		b = append(appendString(append(b, `,"detail":`...), f.Detail), '}')
	}
	if len(p.faults) > 0 {
		b = append(b, ']')
	}
	if p.operation != nil {
		b = appendOperation(append(b, `,"operation":`...), p.operation)
	}
	return append(b, '}')
}

func appendID(b []byte, id uuid.UUID) []byte {
	b = append(hex.AppendEncode(b, id[:4]), '-')
	b = append(hex.AppendEncode(b, id[4:6]), '-')
	b = append(hex.AppendEncode(b, id[6:8]), '-')
	b = append(hex.AppendEncode(b, id[8:10]), '-')
	return hex.AppendEncode(b, id[10:])
}

// appendTime appends a member, or nothing if t is not set.
func appendTime(b []byte, name string, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return append(appendMicros(append(b, name...), t), '"')
}

// appendMicros appends t in RFC 3339 in UTC with microseconds, the precision of the
// ledger, always all six digits. Package time takes less than half as long with its own
// layout as with one of ours. The year must be from 1 to 9999.
func appendMicros(b []byte, t time.Time) []byte {
	b = t.UTC().AppendFormat(b, time.RFC3339) // ends in Z
	b[len(b)-1] = '.'
	micros := t.Nanosecond() / 1000
	for place := 100_000; place > 0; place /= 10 {
		b = append(b, '0'+byte(micros/place%10))
	}
	return append(b, 'Z')
}

// appendString appends a JSON string. Marshalling a string cannot fail: what is
// not UTF-8 is replaced.
func appendString(b []byte, s string) []byte {
	if isPlain(s) {
		return append(append(append(b, '"'), s...), '"')
	}
	quoted, _ := json.Marshal(s)
	return append(b, quoted...)
}

// isPlain reports whether s is the same inside JSON's quotes.
func isPlain(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
