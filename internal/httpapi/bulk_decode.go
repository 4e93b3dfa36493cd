package httpapi

import (
	"bytes"
	"fmt"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// bulk decodes the operations of one wallet. While there is no fault it collects
// them.
type bulk struct {
	decoder
	pathWallet uuid.UUID // of the path; nil if that is no id
	count      int
	ops        []wallet.Operation
	anyLegacy  bool // some wallet was spelled valletId
}

// decodeBulk reads a JSON array of operations, or one on each line. They are valid
// if there are no faults; legacy is right in any case.
func decodeBulk(body []byte, walletID uuid.UUID, lines bool) (ops []wallet.Operation, legacy bool, faults []wallet.FieldError) {
	b := bulk{pathWallet: walletID, ops: make([]wallet.Operation, 0, min(maxBulkOperations, 1+len(body)/minItemBytes))}
	b.known = walletIDMember | valletIDMember | typeMember | amountMember | keyMember
	if lines {
		b.lines(body)
	} else {
		b.text = body
		b.whole('[', "array", b.array)
	}
	if len(b.ops) == 0 && len(b.faults) == 0 {
		b.addText("must have at least one operation")
	}
	return b.ops, b.anyLegacy, b.faults
}

// minItemBytes is the length of the shortest operation.
const minItemBytes = len(`{"operationType":"DEPOSIT","amount":1}`)

func (b *bulk) array() bool {
	b.at++
	if b.space() == ']' {
		b.at++
		return true
	}
	for {
		if !b.within() || !b.element() {
			return false
		}
		if more, ok := b.next(']'); !more {
			return ok
		}
	}
}

// element reads one element; a fault of the text is one of the whole body.
func (b *bulk) element() (ok bool) {
	b.begin()
	if b.peek() == '{' {
		if ok = b.object(); ok {
			b.end()
		}
	} else if ok = b.skip(1); ok {
		b.addText("must be a JSON object")
	}
	b.leave()
	return ok && len(b.faults) < maxFaults
}

// lines reads newline-delimited JSON: a fault of one line leaves the others readable.
func (b *bulk) lines(body []byte) {
	for line := range bytes.SplitSeq(body, []byte{'\n'}) {
		if len(bytes.Trim(line, " \t\r")) == 0 {
			continue
		}
		if len(b.faults) >= maxFaults || !b.within() {
			return
		}
		b.begin()
		b.scanner = scanner{text: line}
		if b.document() {
			b.end()
		}
		b.leave()
	}
}

// within reports whether there may be another operation.
func (b *bulk) within() bool {
	if b.count == maxBulkOperations {
		b.addText(fmt.Sprintf("must have at most %d operations", maxBulkOperations))
		return false
	}
	return true
}

func (b *bulk) begin() {
	b.count++
	b.nth = b.count
	b.seen, b.submission, b.valletID, b.key = 0, submission{}, uuid.Nil, ""
}

func (b *bulk) leave() {
	b.nth = 0
	b.anyLegacy = b.anyLegacy || b.seen&valletIDMember != 0
}

// end takes in an operation that was read whole.
func (b *bulk) end() {
	b.checkComplete()
	b.ofWallet(b.submission.walletID, "walletId")
	b.ofWallet(b.valletID, "valletId")
	if len(b.faults) == 0 {
		b.ops = append(b.ops, wallet.Operation{
			ID: wallet.OperationID(b.pathWallet, b.key), WalletID: b.pathWallet,
			Type: b.opType, Amount: b.amount, Receipt: wallet.NoReceipt,
		})
	}
}

// ofWallet reports an operation that names another wallet than the path does.
func (b *bulk) ofWallet(id uuid.UUID, field string) {
	if id != uuid.Nil && b.pathWallet != uuid.Nil && id != b.pathWallet {
		b.add(field, "must be the wallet of the path, or absent")
	}
}

func (d *decoder) readKey() bool {
	text, is, ok := d.stringOr("idempotencyKey", wallet.ErrKey.Error())
	if !is {
		return ok
	}
	d.key = string(text)
	if err := wallet.CheckKey(d.key); err != nil {
		d.add("idempotencyKey", err.Error())
	}
	return ok
}
