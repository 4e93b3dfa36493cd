package httpapi

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Bounds of what a wrong request is told.
const (
	maxFaults         = 32
	maxFieldNameBytes = 64
)

// byteOrderMark of UTF-8, which JSON must not have (RFC 8259, §8.1).
var byteOrderMark = []byte("\ufeff")

// decoder reads a body and collects everything that is wrong with it. Decoding
// of money is our own because encoding/json takes the last of duplicate keys,
// keys in another case, and stops at the first fault.
type decoder struct {
	scanner
	known  member // the members an operation may have
	seen   member
	nth    int // of a bulk's operations, from 1; 0: the body as a whole
	faults []wallet.FieldError

	submission
	valletID uuid.UUID
	key      string // of a bulk's operation
}

// decodeNothing reads a body that is empty or an empty object.
func decodeNothing(body []byte) []wallet.FieldError {
	d := decoder{scanner: scanner{text: body}}
	if d.space() != 0 || d.at < len(body) {
		d.document()
	}
	return d.faults
}

// document reads the whole text and reports whether it has an object, so that
// what is missing of it can be told.
func (d *decoder) document() bool { return d.whole('{', "object", d.object) }

func (d *decoder) whole(opening byte, what string, read func() bool) bool {
	if i := invalidUTF8(d.text); i >= 0 {
		d.addText(fmt.Sprintf("is not UTF-8 at byte %d", i))
		return false
	}
	switch c := d.space(); {
	case d.at == len(d.text):
		d.addText("must not be empty")
		return false
	case bytes.HasPrefix(d.text[d.at:], byteOrderMark):
		d.addText("must not begin with a byte order mark")
		return false
	case c != opening:
		d.addText("must be a JSON " + what)
		return false
	}
	if !read() {
		if d.malformed != "" {
			d.addText(fmt.Sprintf("is malformed JSON at byte %d: %s", d.at, d.malformed))
		}
		return false
	}
	if d.space(); d.at < len(d.text) {
		d.addText(fmt.Sprintf("goes on after the %s at byte %d", what, d.at))
	}
	return true
}

// object reads the members of an operation. It ends early, without a fault of its
// own, once there are too many to report.
func (d *decoder) object() bool {
	d.at++
	if d.space() == '}' {
		d.at++
		return true
	}
	for {
		name, ok := d.name()
		if !ok || !d.member(name) || len(d.faults) >= maxFaults {
			return false
		}
		if more, ok := d.next('}'); !more {
			return ok
		}
	}
}

// unknown reports a member that the body must not have, and its second occurrence.
func (d *decoder) unknown(name string) {
	for _, f := range d.faults {
		if f.Field == d.field(name) {
			d.add(name, "must appear once")
			return
		}
	}
	d.add(name, "is unknown")
}

// stringOr reads a string, or passes another value and reports the rule it breaks.
func (d *decoder) stringOr(field, rule string) (value []byte, is, ok bool) {
	if d.peek() != '"' {
		d.add(field, rule)
		return nil, false, d.skip(1)
	}
	value, ok = d.string()
	return value, ok, ok
}

func (d *decoder) add(name, detail string) {
	d.faults = append(d.faults, wallet.FieldError{Field: d.field(name), Detail: detail})
}

// addText reports a fault of the body, or of one of its operations, as a whole.
func (d *decoder) addText(detail string) {
	field := "body"
	if d.nth > 0 {
		field = fmt.Sprintf("[%d]", d.nth-1)
	}
	d.faults = append(d.faults, wallet.FieldError{Field: field, Detail: detail})
}

// field is how a fault names a member.
func (d *decoder) field(name string) string {
	if d.nth > 0 {
		return fmt.Sprintf("[%d].%s", d.nth-1, name)
	}
	return name
}

// invalidUTF8 returns where b stops being UTF-8, or -1.
func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	at := 0
	for {
		r, size := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
}

// shorten bounds a name that the client chose before it is repeated to it.
func shorten[T string | []byte](name T) string {
	if len(name) <= maxFieldNameBytes {
		return string(name)
	}
	cut := maxFieldNameBytes
	for cut > 0 && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return string(name[:cut]) + "…"
}
