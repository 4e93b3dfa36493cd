package httpapi

import (
	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// submission is the body of POST /api/v1/wallet, or one operation of a bulk.
type submission struct {
	walletID uuid.UUID
	opType   wallet.Type
	amount   wallet.Amount
	legacy   bool // the wallet was spelled valletId
}

// member is a set of the members that a submission can have.
type member uint8

const (
	walletIDMember member = 1 << iota
	valletIDMember
	typeMember
	amountMember
	keyMember
)

// What ids and amounts must be, in the words of a fault.
const (
	idRule     = "must be a UUID in its canonical 36 characters, not nil"
	amountRule = "must be an integer from 1 to 9007199254740991 in plain digits"
)

// decodeSubmission reads the body of POST /api/v1/wallet. The submission is
// valid if there are no faults; its legacy is right in any case.
func decodeSubmission(body []byte) (submission, []wallet.FieldError) {
	d := decoder{scanner: scanner{text: body}, known: walletIDMember | valletIDMember | typeMember | amountMember}
	if d.document() {
		d.checkNamed()
	}
	d.legacy = d.seen&valletIDMember != 0
	if d.seen&walletIDMember == 0 {
		d.walletID = d.valletID
	}
	return d.submission, d.faults
}

func (d *decoder) member(name []byte) bool {
	m := memberNamed(name) & d.known
	switch {
	case m == 0:
		d.unknown(shorten(name))
		return d.skip(1)
	case d.seen&m != 0:
		d.add(string(name), "must appear once")
		return d.skip(1)
	}
	d.seen |= m
	switch m {
	case walletIDMember:
		return d.readID(&d.walletID, "walletId")
	case valletIDMember:
		return d.readID(&d.valletID, "valletId")
	case typeMember:
		return d.readType()
	case keyMember:
		return d.readKey()
	}
	return d.readAmount()
}

func memberNamed(name []byte) member {
	switch string(name) {
	case "walletId":
		return walletIDMember
	case "valletId":
		return valletIDMember
	case "operationType":
		return typeMember
	case "amount":
		return amountMember
	case "idempotencyKey":
		return keyMember
	}
	return 0
}

func (d *decoder) readID(into *uuid.UUID, field string) bool {
	text, is, ok := d.stringOr(field, idRule)
	if is {
		if *into, is = parseID(text); !is {
			d.add(field, idRule)
		}
	}
	return ok
}

// parseID is wallet.ParseID without a string to be allocated.
func parseID(b []byte) (uuid.UUID, bool) {
	if len(b) != 36 {
		return uuid.Nil, false
	}
	id, err := uuid.ParseBytes(b)
	return id, err == nil && id != uuid.Nil
}

func (d *decoder) readType() bool {
	const rule = "must be DEPOSIT or WITHDRAW"
	text, is, ok := d.stringOr("operationType", rule)
	if is {
		if d.opType, is = wallet.ParseType(string(text)); !is {
			d.add("operationType", rule)
		}
	}
	return ok
}

func (d *decoder) readAmount() bool {
	if !isNumeric(d.peek()) {
		d.add("amount", amountRule)
		return d.skip(1)
	}
	amount, ok := parseAmount(d.number())
	if !ok {
		d.add("amount", amountRule)
	}
	d.amount = amount
	return true
}

// amountDigits is one digit more than the largest amount has, which cannot overflow.
const amountDigits = 17

// parseAmount reads an amount in plain digits: no sign, fraction, exponent or leading zero.
func parseAmount(digits []byte) (wallet.Amount, bool) {
	if len(digits) == 0 || len(digits) > amountDigits || digits[0] == '0' {
		return 0, false
	}
	var a wallet.Amount
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		a = a*10 + wallet.Amount(c-'0')
	}
	return a, a.Valid()
}

// checkNamed reports what is missing of a submission that names its wallet, and
// spellings that disagree.
func (d *decoder) checkNamed() {
	if d.seen&(walletIDMember|valletIDMember) == 0 {
		d.add("walletId", "is required")
	}
	d.checkComplete()
	both := d.walletID != uuid.Nil && d.valletID != uuid.Nil
	if both && d.walletID != d.valletID {
		d.add("valletId", "must be the same as walletId")
	}
}

// checkComplete reports members that are missing of any operation.
func (d *decoder) checkComplete() {
	if d.seen&typeMember == 0 {
		d.add("operationType", "is required")
	}
	if d.seen&amountMember == 0 {
		d.add("amount", "is required")
	}
}
