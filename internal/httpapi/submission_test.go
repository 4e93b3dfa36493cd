package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/walletd/walletd/internal/wallet"
)

const aliceMember = `"walletId":"` + aliceText + `"`

var acceptedBodies = map[string]submission{
	`{` + aliceMember + `,"operationType":"DEPOSIT","amount":1000}`:                                              {alice, wallet.Deposit, 1000, false},
	`{` + aliceMember + `,"operationType":"WITHDRAW","amount":9007199254740991}`:                                 {alice, wallet.Withdraw, wallet.MaxAmount, false},
	` { "amount" : 1 , "operationType":"DEPOSIT",` + aliceMember + "}\r\n\t ":                                    {alice, wallet.Deposit, 1, false},
	`{"valletId":"` + aliceText + `","operationType":"DEPOSIT","amount":1}`:                                      {alice, wallet.Deposit, 1, true},
	`{` + aliceMember + `,"valletId":"` + aliceText + `","operationType":"DEPOSIT","amount":1}`:                  {alice, wallet.Deposit, 1, true},
	`{` + aliceMember + `,"valletId":"` + strings.ToUpper(aliceText) + `","operationType":"DEPOSIT","amount":1}`: {alice, wallet.Deposit, 1, true},
	`{"w\u0061lletId":"` + aliceText + `","operationType":"D\u0045POSIT","amount":1}`:                            {alice, wallet.Deposit, 1, false},
}

func TestDecodeSubmissionAccepts(t *testing.T) {
	for body, want := range acceptedBodies {
		got, faults := decodeSubmission([]byte(body))
		if len(faults) > 0 || got != want {
			t.Errorf("%s: %+v, faults %v", body, got, faults)
		}
	}
}

// refusedBodies have the faults "field detail", in order.
var refusedBodies = []struct {
	body string
	want []string
}{
	{``, []string{"body must not be empty"}},
	{` `, []string{"body must not be empty"}},
	{`null`, []string{"body must be a JSON object"}},
	{`[]`, []string{"body must be a JSON object"}},
	{`"x"`, []string{"body must be a JSON object"}},
	{"\ufeff{}", []string{"body must not begin with a byte order mark"}},
	{`{}`, []string{"walletId is required", "operationType is required", "amount is required"}},
	{`{` + aliceMember + `,"operationType":"deposit","amount":0}`, []string{"operationType must be DEPOSIT or WITHDRAW", "amount " + amountRule}},
	{`{"walletId":7,"operationType":true,"amount":"1"}`, []string{
		"walletId " + idRule, "operationType must be DEPOSIT or WITHDRAW", "amount " + amountRule,
	}},
	{`{"walletId":null,"operationType":[1,{"a":[]}],"amount":{}}`, []string{
		"walletId " + idRule, "operationType must be DEPOSIT or WITHDRAW", "amount " + amountRule,
	}},
	{`{` + aliceMember + `,` + aliceMember + `,"operationType":"DEPOSIT","amount":1,"amount":2}`, []string{"walletId must appear once", "amount must appear once"}},
	{`{` + aliceMember + `,"operationType":"DEPOSIT","amount":1,"note":"x","note":2,"Amount":3}`, []string{
		"note is unknown", "note must appear once", "Amount is unknown",
	}},
	{`{` + aliceMember + `,"valletId":"` + opText + `","operationType":"DEPOSIT","amount":1}`, []string{"valletId must be the same as walletId"}},
	{`{` + aliceMember + `,"valletId":"x","operationType":"DEPOSIT","amount":1}`, []string{"valletId " + idRule}},
	{`{` + aliceMember + `,"operationType":"DEPOSIT","amount":1} {}`, []string{"body goes on after the object at byte 89"}},
	{`{"amount":1}x`, []string{"body goes on after the object at byte 12", "walletId is required", "operationType is required"}},
	{`{"amount":0,`, []string{"amount " + amountRule, "body is malformed JSON at byte 12: unexpected end"}},
	{`{"amount":1,}`, []string{"body is malformed JSON at byte 12: expected a member name"}},
	{`{"amount" 1}`, []string{"body is malformed JSON at byte 10: expected a colon"}},
	{`{"amount":1 "x":2}`, []string{"body is malformed JSON at byte 12: expected a comma or }"}},
	{`{amount:1}`, []string{"body is malformed JSON at byte 1: expected a member name"}},
	{`{"amount":NaN}`, []string{"amount " + amountRule, "body is malformed JSON at byte 10: expected a value"}},
	{`{"a":"` + "\n" + `"}`, []string{"a is unknown", "body is malformed JSON at byte 6: control character in a string"}},
	{`{"a":"\x"}`, []string{"a is unknown", "body is malformed JSON at byte 7: invalid escape"}},
	{`{"a":"\u12g4"}`, []string{"a is unknown", "body is malformed JSON at byte 10: invalid escape"}},
	{`{"a":[1,2`, []string{"a is unknown", "body is malformed JSON at byte 9: unexpected end"}},
	{`{"a":` + strings.Repeat("[", 9999), []string{"a is unknown", "body is malformed JSON at byte 21: nested too deep"}},
	{"{\"amount\":\xff}", []string{"body is not UTF-8 at byte 10"}},
	{"{\"\x00\":1}", []string{"body is malformed JSON at byte 2: control character in a string"}},
	{"\x00", []string{"body must be a JSON object"}},
	{`{"a` + strings.Repeat("ä", 99) + `":1,"amount":1,"operationType":"DEPOSIT",` + aliceMember + `}`, []string{"a" + strings.Repeat("ä", 31) + "… is unknown"}},
	{`{"` + strings.Repeat("ä", 99) + `":1,"amount":1,"operationType":"DEPOSIT",` + aliceMember + `}`, []string{strings.Repeat("ä", 32) + "… is unknown"}},
}

func TestDecodeSubmissionReportsAllFaults(t *testing.T) {
	for _, c := range refusedBodies {
		_, faults := decodeSubmission([]byte(c.body))
		var got []string
		for _, f := range faults {
			got = append(got, f.Field+" "+f.Detail)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%.200q:\n%q, want\n%q", c.body, got, c.want)
		}
	}
}

func TestDecodeSubmissionRefusesValues(t *testing.T) {
	for _, amount := range []string{
		"0", "-1", "-0", "+1", "1.0", "1.5", ".5", "1.", "1e3", "1E3", "01", "00", "1-1", "--1",
		"9007199254740992", "99999999999999999999999999", "18446744073709551617", `"1000"`, "true", "null", "[]", "{}",
	} {
		_, faults := decodeSubmission([]byte(operationJSON("DEPOSIT", amount)))
		if len(faults) != 1 || faults[0].Field != "amount" {
			t.Errorf("amount %s: %v", amount, faults)
		}
	}
	for _, id := range []string{
		"", "x", "00000000-0000-0000-0000-000000000000", "{" + aliceText + "}", "urn:uuid:" + aliceText,
		strings.ReplaceAll(aliceText, "-", ""), aliceText + " ", aliceText[:35] + "g", strings.ReplaceAll(aliceText, "-", "_"),
	} {
		_, faults := decodeSubmission([]byte(`{"walletId":"` + id + `","operationType":"DEPOSIT","amount":1}`))
		if len(faults) != 1 || faults[0].Field != "walletId" {
			t.Errorf("walletId %s: %v", id, faults)
		}
	}
}

func TestFaultsAreBounded(t *testing.T) {
	var body strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&body, `%c"f%d":1`, "{,"[min(i, 1)], i)
	}
	_, faults := decodeSubmission([]byte(body.String() + "}"))
	if len(faults) != maxFaults {
		t.Errorf("%d faults", len(faults))
	}
}

func TestDecodeNothing(t *testing.T) {
	for _, body := range []string{"", " \n", "{}", " { } "} {
		if faults := decodeNothing([]byte(body)); len(faults) > 0 {
			t.Errorf("%q: %v", body, faults)
		}
	}
	for body, field := range map[string]string{
		"[]": "body", "{": "body", "null": "body", "{}{}": "body", `{"amount":1}`: "amount", "\x00": "body", "\xff": "body",
	} {
		if faults := decodeNothing([]byte(body)); len(faults) != 1 || faults[0].Field != field {
			t.Errorf("%q: %v", body, faults)
		}
	}
}

// FuzzDecodeSubmission holds the decoder against encoding/json: it takes a body
// exactly if a slow reading of the rules does, with the same values.
func FuzzDecodeSubmission(f *testing.F) {
	for body := range acceptedBodies {
		f.Add([]byte(body))
	}
	for _, c := range refusedBodies {
		f.Add([]byte(c.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, faults := decodeSubmission(body)
		want, ok := slowDecode(body)
		if ok != (len(faults) == 0) {
			t.Fatalf("%q: by the rules %v, faults %v", body, ok, faults)
		}
		if ok && got != want {
			t.Fatalf("%q: %+v, want %+v", body, got, want)
		}
		for _, fault := range faults {
			if fault.Field == "" && !bytes.Contains(body, []byte(`""`)) || fault.Detail == "" || !utf8.ValidString(fault.Field) {
				t.Fatalf("%q: fault %+v", body, fault)
			}
		}
		if n := decodeNothing(body); len(n) == 0 && len(bytes.Trim(body, "{} \t\r\n")) > 0 {
			t.Fatalf("%q is not nothing", body)
		}
	})
}

// slowDecode is the rules in terms of encoding/json.
func slowDecode(body []byte) (s submission, ok bool) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return s, false
	}
	values := map[string]json.RawMessage{}
	d := json.NewDecoder(bytes.NewReader(body))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return s, false
	}
	for d.More() {
		name, _ := d.Token()
		var v json.RawMessage
		if err := d.Decode(&v); err != nil || values[name.(string)] != nil {
			return s, false
		}
		values[name.(string)] = v
	}
	if _, err := d.Token(); err != nil {
		return s, false
	}
	if _, err := d.Token(); err != io.EOF {
		return s, false
	}
	return slowSubmission(values)
}

func slowSubmission(values map[string]json.RawMessage) (s submission, ok bool) {
	var kind string
	var ids []string
	for name, v := range values {
		var id string
		switch name {
		case "walletId", "valletId":
			if v[0] != '"' || json.Unmarshal(v, &id) != nil {
				return s, false
			}
			ids = append(ids, id)
			s.legacy = s.legacy || name == "valletId"
		case "operationType":
			if json.Unmarshal(v, &kind) != nil {
				return s, false
			}
		case "amount":
			if json.Unmarshal(v, &s.amount) != nil || fmt.Sprint(int64(s.amount)) != string(v) || !s.amount.Valid() {
				return s, false
			}
		default:
			return s, false
		}
	}
	for _, text := range ids {
		id, fine := wallet.ParseID(text)
		if !fine || text == "" || (s.walletID != id && s.walletID != [16]byte{}) {
			return s, false
		}
		s.walletID = id
	}
	s.opType, ok = wallet.ParseType(kind)
	return s, ok && len(ids) > 0 && s.amount.Valid()
}

func BenchmarkDecodeSubmission(b *testing.B) {
	body := []byte(operationJSON("DEPOSIT", "1000"))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, faults := decodeSubmission(body); len(faults) > 0 {
			b.Fatal(faults)
		}
	}
}
