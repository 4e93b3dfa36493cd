package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/httpapi/api"
	"github.com/walletd/walletd/internal/wallet"
)

const bulkPath = alicePath + "/operations"

// bulk sends operations, an array unless a header says otherwise.
func (r *rig) bulk(body string, headers ...string) answer {
	r.t.Helper()
	if !slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(h, "Content-Type:") }) {
		headers = append(headers, "Content-Type: application/json")
	}
	return r.do("POST", bulkPath, body, headers...)
}

func item(kind, amount, key string) string {
	if key != "" {
		key = `,"idempotencyKey":"` + key + `"`
	}
	return `{"operationType":"` + kind + `","amount":` + amount + key + `}`
}

func TestABulkIsAnsweredWithTheOutcomeOfEachInOrder(t *testing.T) {
	r := newRig(t)
	items := []string{item("DEPOSIT", "10", "a"), item("WITHDRAW", "50", ""), item("DEPOSIT", "10", "a"), item("DEPOSIT", "11", "a")}
	array, lines := "["+strings.Join(items, ",\n ")+"]\n", "\r\n"+strings.Join(items, "\r\n \n")
	a := r.bulk(array, "Prefer: wait=7").status(200).header("Preference-Applied", "wait=7").header("Cache-Control", "no-store").header("Location", "").header("Deprecation", "")
	first := r.submitted[:4]
	if first[0].ID != wallet.OperationID(alice, "a") || first[1].ID.Version() != 7 || first[0].WalletID != alice || r.waits[0] != 7*time.Second {
		t.Errorf("submitted %+v, waits %v", first, r.waits)
	}
	deposit := `{"operation":{"operationId":"` + first[0].ID.String() + `","walletId":"` + aliceText +
		`","operationType":"DEPOSIT","amount":10,"status":"APPLIED","balanceAfter":10,"sequence":1,"origin":"journal",` +
		`"acceptedAt":"2026-05-04T10:11:12.345678Z","appliedAt":"2026-05-04T10:11:12.345678Z","partition":7,"offset":0}`
	a.text(`{"outcomes":[` + deposit + `,"balance":10,"sequence":1},{"operation":{"operationId":"` + first[1].ID.String() + `","walletId":"` + aliceText +
		`","operationType":"WITHDRAW","amount":50,"status":"FAILED","reason":"insufficient_funds","balanceAfter":10,"sequence":2,"origin":"journal",` +
		`"acceptedAt":"2026-05-04T10:11:12.345678Z","appliedAt":"2026-05-04T10:11:12.345678Z","partition":7,"offset":1},"balance":10,"sequence":2,"code":"insufficient_funds"},` +
		deposit + `,"balance":10,"sequence":1,"replayed":true},` + deposit + `,"code":"idempotency_key_reused"}]}`)
	r.bulk(lines, "Content-Type: application/x-ndjson; charset=utf-8").status(200)
	for i, op := range r.submitted[4:] {
		if op.Type != first[i].Type || op.Amount != first[i].Amount || i != 1 && op.ID != first[i].ID {
			t.Errorf("by lines %+v, by array %+v", op, first[i])
		}
	}
}

func TestABulkWhoseOutcomesAreNotAllKnownIs202(t *testing.T) {
	r := newRig(t)
	r.submit = func(op wallet.Operation) (wallet.Outcome, error) {
		op.AcceptedAt, op.Receipt = at, wallet.Receipt{Partition: 7, Offset: 9}
		if op.Amount == 1 {
			_, op = wallet.Apply(wallet.State{}, op, at)
		}
		return wallet.Outcome{Operation: op}, nil
	}
	a := r.bulk("["+item("DEPOSIT", "1", "")+","+item("DEPOSIT", "2", "")+"]", "Prefer: respond-async").status(202).header("Preference-Applied", "respond-async")
	if r.waits[0] != 0 {
		t.Errorf("waits %v", r.waits)
	}
	want := `"location":"` + bulkPath + "/" + r.submitted[1].ID.String() + `?journal=7-9"`
	if text := string(a.body); strings.Count(text, `"location"`) != 1 || !strings.Contains(text, want) || !strings.Contains(text, `"PENDING"`) {
		t.Errorf("%s", text)
	}
}

// refusedBulks are bodies and their faults, as "field detail".
var refusedBulks = map[string][]string{
	``:                                      {"body must not be empty"},
	`{}`:                                    {"body must be a JSON array"},
	`[]`:                                    {"body must have at least one operation"},
	`[ ]x`:                                  {"body goes on after the array at byte 3"},
	`[` + item("DEPOSIT", "1", "") + `,]`:   {"body is malformed JSON at byte 40: expected a value"},
	`[` + item("DEPOSIT", "1", "") + ` {}]`: {"body is malformed JSON at byte 40: expected a comma or ]"},
	`[` + item("DEPOSIT", "1", ""):          {"body is malformed JSON at byte 39: unexpected end"},
	"[\xff]":                                {"body is not UTF-8 at byte 1"},
	`[1,null,[],"x",` + item("DEPOSIT", "1", "") + `]`: {
		"[0] must be a JSON object", "[1] must be a JSON object", "[2] must be a JSON object", "[3] must be a JSON object",
	},
	`[{},` + item("DEPOSIT", "0", "") + `,` + item("deposit", "1e3", "a b") + `,{"operationType":"DEPOSIT","amount":1,"amount":2,"x":1,"x":1,"body":1}]`: {
		"[0].operationType is required", "[0].amount is required", "[1].amount " + amountRule,
		"[2].operationType must be DEPOSIT or WITHDRAW", "[2].amount " + amountRule, "[2].idempotencyKey " + wallet.ErrKey.Error(),
		"[3].amount must appear once", "[3].x is unknown", "[3].x must appear once", "[3].body is unknown",
	},
	`[{"operationType":"DEPOSIT","amount":1,"idempotencyKey":1},{"operationType":"DEPOSIT","amount":1,"idempotencyKey":""},{"operationType":"DEPOSIT","amount":1,"idempotencyKey":"a","idempotencyKey":"a"}]`: {
		"[0].idempotencyKey " + wallet.ErrKey.Error(), "[1].idempotencyKey " + wallet.ErrKey.Error(), "[2].idempotencyKey must appear once",
	},
	`[{` + aliceMember + `,"operationType":"DEPOSIT","amount":1},{"walletId":"` + opText + `","operationType":"DEPOSIT","amount":1},{` + aliceMember + `,"valletId":"` + opText + `","operationType":"DEPOSIT","amount":1},{"walletId":"x","operationType":"DEPOSIT","amount":1}]`: {
		"[1].walletId must be the wallet of the path, or absent", "[2].valletId must be the wallet of the path, or absent", "[3].walletId " + idRule,
	},
	`[` + strings.Repeat(item("DEPOSIT", "1", "")+",", 1000) + item("DEPOSIT", "1", "") + `]`: {"body must have at most 1000 operations"},
}

var refusedLines = map[string][]string{
	"\n \r\n\t": {"body must have at least one operation"},
	item("DEPOSIT", "1", "") + "\n[]\n{\n" + item("DEPOSIT", "1", "") + " 1\n\xff\n" + item("DEPOSIT", "0", ""): {
		"[1] must be a JSON object", "[2] is malformed JSON at byte 1: unexpected end", "[3] goes on after the object at byte 39",
		"[4] is not UTF-8 at byte 0", "[5].amount " + amountRule,
	},
	"[" + item("DEPOSIT", "1", "") + "]":                {"[0] must be a JSON object"},
	strings.Repeat(item("DEPOSIT", "1", "")+"\n", 1001): {"body must have at most 1000 operations"},
}

func TestAMalformedItemRefusesTheBulkAndEveryFaultIsNamed(t *testing.T) {
	r := newRig(t)
	for media, bodies := range map[string]map[string][]string{"application/json": refusedBulks, linesType: refusedLines} {
		for body, want := range bodies {
			var fields, got []string
			for _, f := range want {
				fields = append(fields, strings.SplitN(f, " ", 2)[0])
			}
			p := r.bulk(body, "Content-Type: "+media).problem(400, "invalid_request", fields...)
			for _, f := range p.Errors {
				got = append(got, f.Field+" "+f.Detail)
			}
			if !slices.Equal(got, want) || p.Outcome != api.NotApplied {
				t.Errorf("%.200s:\n%q, want\n%q", body, got, want)
			}
		}
	}
	if len(r.submitted) > 0 {
		t.Errorf("%d reached the intake", len(r.submitted))
	}
}

func TestTheFaultsOfABulkAreBounded(t *testing.T) {
	r := newRig(t)
	for media, body := range map[string]string{
		"application/json": "[" + strings.Repeat(`{"operationType":1,"amount":0},`, 999) + "{}]",
		linesType:          strings.Repeat(`{"operationType":1,"amount":0}`+"\n", 1000),
	} {
		var fields []string
		for i := range maxFaults / 2 {
			fields = append(fields, fmt.Sprintf("[%d].operationType", i), fmt.Sprintf("[%d].amount", i))
		}
		p := r.bulk(body, "Content-Type: "+media).problem(400, "invalid_request", fields...)
		if !strings.Contains(p.Detail, "at least") {
			t.Errorf("%s: %s", media, p.Detail)
		}
	}
}

func TestThousandOperationsAreTaken(t *testing.T) {
	r := newRig(t)
	body := "[" + strings.Repeat(item("DEPOSIT", "1", "")+",", 999) + item("DEPOSIT", "1", "") + "]"
	if got := strings.Count(string(r.bulk(body).status(200).body), `"APPLIED"`); got != 1000 || len(r.submitted) != 1000 {
		t.Errorf("%d outcomes, %d submitted", got, len(r.submitted))
	}
}

func TestABulkThatSpellsAWalletTheOldWayIsToldSo(t *testing.T) {
	r := newRig(t)
	const old = `[{"operationType":"DEPOSIT","amount":1},{"valletId":"` + aliceText + `","operationType":"DEPOSIT","amount":%d}]`
	r.bulk(fmt.Sprintf(old, 1)).status(200).header("Deprecation", "@1767225600")
	r.bulk(fmt.Sprintf(old, 0)).header("Deprecation", "@1767225600").problem(400, "invalid_request", "[1].amount")
}

func TestABulksRequestIsCheckedAsAWhole(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxBulkBytes = 100 })
	one := "[" + item("DEPOSIT", "1", "") + "]"
	r.bulk(one + strings.Repeat(" ", 100-len(one))).status(200)
	r.bulk(one+strings.Repeat(" ", 101-len(one))).problem(413, "body_too_large")
	r.bulk(one, "Content-Type: text/plain").problem(415, "unsupported_media_type", "Content-Type")
	r.bulk(one, "Content-Encoding: gzip").problem(415, "unsupported_media_type", "Content-Encoding")
	r.bulk(one, "Idempotency-Key: a").problem(400, "invalid_request", "Idempotency-Key")
	r.do("POST", bulkPath+"?limit=1", `[{}]`, "Content-Type: application/json").problem(400, "invalid_request", "limit", "[0].operationType", "[0].amount")
	r.do("POST", "/api/v1/wallets/x/operations", `[{`+aliceMember+`}]`, "Content-Type: application/json").
		problem(400, "invalid_request", "walletId", "[0].operationType", "[0].amount")
	r.do("POST", strings.Replace(bulkPath, aliceText, opText, 1), one, "Content-Type: application/json").problem(404, "wallet_not_found")
	r.submit = func(wallet.Operation) (wallet.Outcome, error) {
		return wallet.Outcome{}, &wallet.Error{Code: wallet.CodeOverloaded, RetryAfter: 3 * time.Second}
	}
	r.bulk(one).header("Retry-After", "3").problem(429, "overloaded")
	r.submit = func(wallet.Operation) (wallet.Outcome, error) {
		return wallet.Outcome{}, &wallet.Error{Code: wallet.CodeUnavailable, Fate: wallet.Unknown, RetryAfter: 2 * time.Second}
	}
	if p := r.bulk(one).header("Retry-After", "2").problem(503, "unavailable"); p.Outcome != api.Unknown {
		t.Errorf("%+v", p)
	}
	r.do("OPTIONS", bulkPath, "", "Origin: http://a.example", "Access-Control-Request-Method: POST").status(204).header("Access-Control-Allow-Origin", "*")
	if len(r.submitted) != 4 {
		t.Errorf("%d reached the intake", len(r.submitted))
	}
}

func TestBulkOutcomesAgreeWithGeneratedTypes(t *testing.T) {
	var outs []wallet.Outcome
	var want api.BulkOutcomes
	for _, op := range operations() {
		for _, out := range []wallet.Outcome{{Operation: op}, {Operation: op, Replayed: true}, {Operation: op, KeyReused: true}} {
			o := slowOperation(op)
			item := api.BulkOutcome{Operation: o, Replayed: out.Replayed}
			if out.KeyReused {
				item.Code = api.CodeIdempotencyKeyReused
			} else {
				item.Balance, item.Sequence, item.Code = o.BalanceAfter, o.Sequence, api.ProblemCode(op.Reason.String())
			}
			if op.Status == wallet.Pending {
				item.Location = operationLocation(&op)
			}
			outs, want.Outcomes = append(outs, out), append(want.Outcomes, item)
		}
	}
	same(t, appendOutcomes(nil, outs), want)
}

func BenchmarkDecodeBulk(b *testing.B) {
	items := make([]string, 500)
	for i := range items {
		items[i] = item("DEPOSIT", fmt.Sprint(1+i), uuid.NewString())
	}
	body := []byte("[" + strings.Join(items, ",") + "]")
	b.ReportAllocs()
	for b.Loop() {
		if ops, _, faults := decodeBulk(body, alice, false); len(ops) != 500 {
			b.Fatal(faults)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/operation")
}

func BenchmarkAppendOutcomes(b *testing.B) {
	outs, buf := make([]wallet.Outcome, 500), make([]byte, 0, 1<<20)
	for i := range outs {
		outs[i].Operation = operations()[1]
	}
	b.ReportAllocs()
	for b.Loop() {
		buf = appendOutcomes(buf[:0], outs)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/operation")
}

// holding is an intake whose bulks have no outcome until they are let go.
type holding struct {
	*fake
	entered, leave chan struct{}
}

func (h *holding) SubmitAll(ctx context.Context, ops []wallet.Operation, wait time.Duration) ([]wallet.Outcome, error) {
	h.entered <- struct{}{}
	<-h.leave
	return h.fake.SubmitAll(ctx, ops, wait)
}

// A bulk's operations, outcomes and answer are held until the client has read it, or
// for as long as the timeouts allow.
func TestBulksShareTheirMemoryUntilTheyAreAnswered(t *testing.T) {
	h := &holding{fake: newFake(), entered: make(chan struct{}), leave: make(chan struct{})}
	h.wallets[alice] = wallet.State{}
	r := newRig(t, func(c *Config) { c.Intake = h })
	body := "[" + strings.Repeat(item("DEPOSIT", "1", "k")+",", maxBulkOperations-1) + item("DEPOSIT", "1", "k") + "]"
	statuses := make(chan int, 100)
	put := func() {
		res, err := http.Post(r.url+bulkPath, jsonType[0], strings.NewReader(body))
		if err != nil {
			statuses <- 0
			return
		}
		_ = res.Body.Close()
		statuses <- res.StatusCode
	}
	const most = SharedBytes / (maxBulkOperations * usualOperationBytes)
	under, status := 0, http.StatusOK
	for status == http.StatusOK && under <= most+1 {
		go put()
		select {
		case <-h.entered:
			under++
		case status = <-statuses:
		}
	}
	if status != http.StatusTooManyRequests || under < most/2 {
		t.Errorf("%d after %d bulks, a share is for some %d", status, under, most)
	}
	close(h.leave)
	for range under {
		if status := <-statuses; status != http.StatusOK {
			t.Fatal(status)
		}
	}
	for status, late := 0, time.After(patience); status != http.StatusOK; { // the last answer leaves before its share is given back
		go put()
		select {
		case <-h.entered:
			status = <-statuses
		case status = <-statuses:
		case <-late:
			t.Fatal("there is no room again")
		}
	}
}
