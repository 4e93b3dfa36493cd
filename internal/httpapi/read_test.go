package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/httpapi/api"
	"github.com/walletd/walletd/internal/wallet"
)

const alicePath = "/api/v1/wallets/" + aliceText

func TestCreateWallet(t *testing.T) {
	r := newRig(t)
	var v api.Wallet
	a := r.do("POST", "/api/v1/wallet/create", "").status(201).header("Content-Type", "application/json").header("Cache-Control", "no-store")
	if err := json.Unmarshal(a.body, &v); err != nil || v.Balance != 0 || v.Sequence != 0 || !v.UpdatedAt.Equal(at) {
		t.Errorf("%v: %s", err, a.body)
	}
	a.header("Location", "/api/v1/wallets/"+v.WalletID.String()).header("Idempotency-Replayed", "")
	first := r.do("POST", "/api/v1/wallet/create", "{}", "Idempotency-Key: k", "Content-Type: text/plain").status(201)
	r.do("POST", "/api/v1/wallet/create", "", "Idempotency-Key: k").status(201).header("Idempotency-Replayed", "true").text(string(first.body))
	r.do("POST", "/api/v1/wallet/create", `{"x":1}`).problem(400, "invalid_request", "x")
	r.create = func() (wallet.Created, error) {
		return wallet.Created{Wallet: wallet.Wallet{ID: alice, UpdatedAt: at}, Pending: true}, nil
	}
	r.do("POST", "/api/v1/wallet/create", "").status(202).header("Location", alicePath).
		text(`{"walletId":"` + aliceText + `","balance":0,"sequence":0,"updatedAt":"2026-05-04T10:11:12.345678Z"}`)
}

func TestABalanceIsReadWithItsETag(t *testing.T) {
	r := newRig(t)
	r.wallets[alice] = wallet.State{Balance: 750, Sequence: 2}
	a := r.get(alicePath).status(200).header("ETag", `"2"`).header("Cache-Control", "private, no-cache")
	a.text(`{"walletId":"` + aliceText + `","balance":750,"sequence":2,"updatedAt":"2026-05-04T10:11:12.345678Z"}`)
	r.get("/api/v1/wallets/" + strings.ToUpper(aliceText)).status(200).text(string(a.body))
	r.do("HEAD", alicePath, "").status(200).header("ETag", `"2"`).text("")
	r.get("/api/v1/wallets/"+opText).problem(404, "wallet_not_found")
	r.get(alicePath + "?minSequence=2").status(200)
	if p := r.get(alicePath+"?minSequence=3").header("Retry-After", "2").problem(409, "not_yet_visible"); !p.Retryable {
		t.Errorf("%+v", p)
	}
	r.get("/api/v1/wallets/x?minSequence=-1&a=1&minSequence=2").problem(400, "invalid_request", "a", "minSequence", "walletId")
	for _, bad := range []string{"", "-1", "+1", "1.0", "x", "9223372036854775808"} {
		r.get(alicePath+"?minSequence="+bad).problem(400, "invalid_request", "minSequence")
	}
	r.get(alicePath+"?a=%zz").problem(400, "invalid_request", "query")
	for _, bad := range []string{"x", "00000000-0000-0000-0000-000000000000", "%7B" + aliceText + "%7D", aliceText + "%20"} {
		r.get("/api/v1/wallets/"+bad).problem(400, "invalid_request", "walletId")
	}
}

func TestReadsWithoutTheLedger(t *testing.T) {
	r := newRig(t)
	away := fmt.Errorf("%w: connection refused", wallet.ErrUnavailable)
	r.fake.wallet = func() (wallet.Wallet, error) { return wallet.Wallet{}, away }
	r.page = func() (wallet.Page, error) { return wallet.Page{}, away }
	for _, path := range []string{alicePath, alicePath + "/operations"} {
		if p := r.get(path).header("Retry-After", "2").problem(503, "unavailable"); !p.Retryable {
			t.Errorf("%+v", p)
		}
	}
}

func TestIfNoneMatch(t *testing.T) {
	r := newRig(t)
	r.wallets[alice] = wallet.State{Balance: 750, Sequence: 2}
	for _, match := range []string{`"2"`, `W/"2"`, `*`, `"1", "2"`, `"1",W/"2"`, `"a,b", "2"`} {
		r.get(alicePath, "If-None-Match: "+match).status(304).header("ETag", `"2"`).header("Cache-Control", "private, no-cache").text("")
	}
	r.get(alicePath, `If-None-Match: "1"`, `If-None-Match: "2"`).status(304)
	for _, other := range []string{``, `2`, `"3"`, `"22"`, `w/"2"`, `"a,*,b"`} {
		r.get(alicePath, "If-None-Match: "+other).status(200)
	}
	r.get("/api/v1/wallets/"+opText, "If-None-Match: *").problem(404, "wallet_not_found")
}

func TestNoCacheReadsTheLedger(t *testing.T) {
	r := newRig(t)
	for header, fresh := range map[string]bool{
		"": false, "no-cache": true, "No-Cache": true, "max-age=0, no-cache": true, "no-store": false, "max-age=0": false,
	} {
		r.get(alicePath, "Cache-Control: "+header).status(200)
		if got := r.read[len(r.read)-1]; got != (reading{fresh, 0}) {
			t.Errorf("%q: %+v", header, got)
		}
	}
}

func TestListOperations(t *testing.T) {
	r := newRig(t)
	path := alicePath + "/operations"
	r.get(path).status(200).text(`{"operations":[]}`).header("Cache-Control", "private, no-cache")
	if got := r.queries[0]; got != (wallet.Query{Limit: 50}) {
		t.Errorf("%+v", got)
	}
	next := wallet.Cursor{Position: 3, Sequence: 14}
	_, op := wallet.Apply(wallet.State{}, wallet.Operation{ID: alice, WalletID: alice, Type: wallet.Deposit, Amount: 3, Receipt: wallet.NoReceipt}, at)
	op.Origin = wallet.Direct
	r.page = func() (wallet.Page, error) {
		return wallet.Page{Operations: []wallet.Operation{op, op}, Next: &next}, nil
	}
	var list api.OperationList
	if err := json.Unmarshal(r.get(path).status(200).body, &list); err != nil || len(list.Operations) != 2 || *list.Operations[1].Origin != api.OriginDirect {
		t.Fatalf("%v: %+v", err, list)
	}
	q := url.Values{
		"limit": {"1000"}, "cursor": {list.NextCursor}, "status": {"FAILED"}, "operationType": {"WITHDRAW"},
		"from": {"2026-05-04T12:00:00+02:00"}, "to": {"2026-05-04t10:00:00.000001z"},
	}
	r.get(path + "?" + q.Encode()).status(200)
	got, from := r.queries[2], time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	if got.Limit != 1000 || *got.Status != wallet.Failed || got.Type != wallet.Withdraw || got.Before != next ||
		!got.From.Equal(from) || !got.To.Equal(from.Add(time.Microsecond)) {
		t.Errorf("%+v", got)
	}
}

// A program that sends its language's zero time means a time, not that it has none.
func TestTheFirstMomentIsAPeriodsEnd(t *testing.T) {
	r := newRig(t)
	r.get(alicePath + "/operations?to=0001-01-01T00:00:00Z").status(200)
	if r.queries[0].To.IsZero() {
		t.Error("asked for the whole history")
	}
}

func TestErrorsOfTheHistory(t *testing.T) {
	r := newRig(t)
	err := &wallet.Error{Code: wallet.CodeUnavailable, Fate: wallet.Unknown, RetryAfter: time.Millisecond}
	r.page = func() (wallet.Page, error) { return wallet.Page{}, err }
	r.operation = func() (wallet.Operation, error) { return wallet.Operation{}, err }
	for _, path := range []string{"/operations", "/operations/" + opText} {
		p := r.get(alicePath+path).header("Retry-After", "1").problem(503, "unavailable")
		if p.Outcome != api.NotApplied { // a read applies nothing
			t.Errorf("%+v", p)
		}
	}
}

func TestListOperationsRefuses(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		query  string
		fields string
	}{
		{"limit=0", "limit"}, {"limit=1001", "limit"}, {"limit=", "limit"}, {"limit=-1", "limit"}, {"limit=1e1", "limit"},
		{"limit=1&limit=2", "limit"}, {"Limit=1", "Limit"}, {"offset=3&page=2", "offset page"},
		{"status=applied", "status"}, {"status=", "status"}, {"operationType=X", "operationType"},
		{"from=yesterday", "from"}, {"from=2026-05-04", "from"}, {"from=2026-05-04T10:00:00,5Z", "from"},
		{"from=2026-05-04T9:00:00Z", "from"}, {"from=2026-05-04T10:00:00%2B24:00", "from"}, {"to=2026-05-04T10:00:00+02:00", "to"},
		{"from=2026-05-04T10:00:00Z&to=2026-05-04T10:00:00Z", "to"},
		{"cursor=", "cursor"}, {"cursor=x", "cursor"}, {"cursor=djIuMC4wLjVhNjk3ODg3", "cursor"}, {"cursor=djIuMC4yLjVhNjk3ODg3=", "cursor"}, {"cursor=djEuMC4yLjVhNjk3ODg3", "cursor"}, {"cursor=djIuMC4yLjVhNjk3ODg4", "cursor"},
		{"limit=x&status=x&operationType=x&from=x&to=x&cursor=x", "limit status operationType from to cursor"},
	} {
		r.get(alicePath+"/operations?"+c.query).problem(400, "invalid_request", strings.Fields(c.fields)...)
	}
	if len(r.queries) > 0 {
		t.Errorf("%d reached the history", len(r.queries))
	}
	r.get("/api/v1/wallets/x/operations?limit=0").problem(400, "invalid_request", "walletId", "limit")
}

func TestCursorRoundTrip(t *testing.T) {
	for _, c := range []wallet.Cursor{{Sequence: 2}, {Position: 1}, {Position: 1<<63 - 1, Sequence: 1<<63 - 1}} {
		if got, ok := parseCursor(alice, formatCursor(alice, c)); !ok || got != c {
			t.Errorf("%+v: %+v, %v", c, got, ok)
		}
		if _, ok := parseCursor(uuid.New(), formatCursor(alice, c)); ok {
			t.Errorf("%+v is a cursor of another wallet too", c)
		}
	}
}

func TestGetOperation(t *testing.T) {
	r := newRig(t)
	out := r.post(operationJSON("DEPOSIT", "1000")).status(200)
	a := r.get(out.Header.Get("Location")).status(200).header("Cache-Control", "private, no-cache")
	if !strings.HasPrefix(string(out.body), `{"operation":`+string(a.body)) {
		t.Errorf("%s\n%s", a.body, out.body)
	}
	if r.receipts[0] != (wallet.Receipt{Partition: 7, Offset: 0}) {
		t.Errorf("%+v", r.receipts[0])
	}
	path := alicePath + "/operations/" + opText
	r.get(path).problem(404, "operation_not_found")
	if r.receipts[1] != wallet.NoReceipt {
		t.Errorf("%+v", r.receipts[1])
	}
	for _, bad := range []string{"", "-", "7", "7-", "-7", "7-1204-1", "+7-1", "a-b", "2147483648-0", "0-9223372036854775808", "7--1"} {
		r.get(path+"?journal="+url.QueryEscape(bad)).problem(400, "invalid_request", "journal")
	}
	r.get("/api/v1/wallets/x/operations/y?a=1").problem(400, "invalid_request", "a", "walletId", "operationId")
}

func TestReadyNamesEachComponent(t *testing.T) {
	r := newRig(t)
	r.components = []Component{{Name: "postgres", Up: true}, {Name: "redis", Detail: "refused"}}
	r.get("/livez").status(200).text(`{"status":"live"}`)
	components := `"components":[{"name":"postgres","status":"up"},{"name":"redis","status":"down","detail":"refused"}]}`
	r.get("/readyz?x=1").status(200).text(`{"status":"ready",` + components)
	r.unready = true
	r.get("/readyz").status(http.StatusServiceUnavailable).text(`{"status":"unready",` + components)
}
