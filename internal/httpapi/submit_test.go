package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/httpapi/api"
	"github.com/walletd/walletd/internal/wallet"
)

func TestAppliedOperation(t *testing.T) {
	r := newRig(t)
	a := r.post(operationJSON("DEPOSIT", "1000")).status(200)
	op := r.submitted[0]
	a.header("Location", fmt.Sprintf("/api/v1/wallets/%s/operations/%s?journal=7-0", aliceText, op.ID))
	a.header("Content-Type", "application/json").header("Cache-Control", "no-store")
	a.header("Idempotency-Replayed", "").header("Preference-Applied", "").header("Deprecation", "")
	a.text(`{"operation":{"operationId":"` + op.ID.String() + `","walletId":"` + aliceText +
		`","operationType":"DEPOSIT","amount":1000,"status":"APPLIED","balanceAfter":1000,"sequence":1,"origin":"journal",` +
		`"acceptedAt":"2026-05-04T10:11:12.345678Z","appliedAt":"2026-05-04T10:11:12.345678Z","partition":7,"offset":0},` +
		`"balance":1000,"sequence":1}`)
	if op.ID.Version() != 7 || op.Receipt.Known() || r.waits[0] != time.Second {
		t.Errorf("submitted %+v, wait %v", op, r.waits[0])
	}
}

// A balance of zero is a balance: it must not be left out.
func TestZeroBalanceIsShown(t *testing.T) {
	r := newRig(t)
	r.post(operationJSON("DEPOSIT", "5")).status(200)
	var out api.Outcome
	if err := json.Unmarshal(r.post(operationJSON("WITHDRAW", "5")).status(200).body, &out); err != nil {
		t.Fatal(err)
	}
	if out.Balance == nil || *out.Balance != 0 || out.Operation.BalanceAfter == nil || *out.Operation.BalanceAfter != 0 {
		t.Errorf("%+v", out)
	}
}

func TestRefusedOperation(t *testing.T) {
	r := newRig(t)
	a := r.post(operationJSON("WITHDRAW", "1"), "Idempotency-Key: k")
	p := a.problem(422, "insufficient_funds")
	if p.Outcome != api.NotApplied || p.Operation == nil || p.Operation.Status != api.Failed || *p.Operation.Sequence != 1 || *p.Operation.BalanceAfter != 0 {
		t.Errorf("%s", a.body)
	}
	id := wallet.OperationID(alice, "k").String()
	a.header("Location", "/api/v1/wallets/"+aliceText+"/operations/"+id+"?journal=7-0")
	r.post(operationJSON("WITHDRAW", "1"), "Idempotency-Key: k").header("Idempotency-Replayed", "true").problem(422, "insufficient_funds")
	r.post(operationJSON("DEPOSIT", "9007199254740991")).status(200)
	r.post(operationJSON("DEPOSIT", "1")).problem(422, "balance_overflow")
}

func TestPendingOperation(t *testing.T) {
	r := newRig(t)
	r.submit = func(op wallet.Operation) (wallet.Outcome, error) {
		op.AcceptedAt = at
		return wallet.Outcome{Operation: op}, nil
	}
	a := r.post(operationJSON("DEPOSIT", "7")).status(202)
	id := r.submitted[0].ID.String()
	a.header("Location", "/api/v1/wallets/"+aliceText+"/operations/"+id) // no receipt is known
	a.text(`{"operation":{"operationId":"` + id + `","walletId":"` + aliceText +
		`","operationType":"DEPOSIT","amount":7,"status":"PENDING","acceptedAt":"2026-05-04T10:11:12.345678Z"}}`)
}

// A wallet that turns out not to exist after the operation was journaled is the
// same error as one that is known not to, with the operation.
func TestAnOperationThatFailsForItsWalletIs404(t *testing.T) {
	r := newRig(t)
	body := strings.ReplaceAll(operationJSON("DEPOSIT", "7"), aliceText, opText)
	if p := r.post(body).problem(404, "wallet_not_found"); p.Outcome != api.NotApplied || p.Operation != nil {
		t.Errorf("%+v", p)
	}
	r.submit = func(op wallet.Operation) (wallet.Outcome, error) {
		return wallet.Outcome{Operation: wallet.Refuse(op, at)}, nil
	}
	p := r.post(body).problem(404, "wallet_not_found")
	if p.Outcome != api.NotApplied || p.Operation == nil || p.Operation.Sequence != nil || p.Operation.BalanceAfter != nil {
		t.Errorf("%+v", p)
	}
}

func TestIdempotencyKey(t *testing.T) {
	r := newRig(t)
	key := "Idempotency-Key: " + strings.Repeat("~", 255)
	first := r.post(operationJSON("DEPOSIT", "1000"), key).status(200).header("Idempotency-Replayed", "")
	second := r.post(operationJSON("DEPOSIT", "1000"), key).status(200).header("Idempotency-Replayed", "true")
	second.text(string(first.body)).header("Location", first.Header.Get("Location"))
	p := r.post(operationJSON("DEPOSIT", "1001"), key).problem(422, "idempotency_key_reused")
	if p.Outcome != api.NotApplied || p.Retryable {
		t.Errorf("%+v", p)
	}
	for _, bad := range [][]string{
		{"Idempotency-Key:"}, {"Idempotency-Key: a b"}, {"Idempotency-Key: ä"},
		{"Idempotency-Key: " + strings.Repeat("k", 256)}, {"Idempotency-Key: a", "Idempotency-Key: a"},
	} {
		r.post(operationJSON("DEPOSIT", "1"), bad...).problem(400, "invalid_request", "Idempotency-Key")
		r.do("POST", "/api/v1/wallet/create", "", bad...).problem(400, "invalid_request", "Idempotency-Key")
	}
	r.post(operationJSON("deposit", "0"), "Idempotency-Key:").
		problem(400, "invalid_request", "Idempotency-Key", "operationType", "amount")
	if len(r.submitted) != 3 {
		t.Errorf("%d requests reached the intake", len(r.submitted))
	}
}

func TestLegacySpelling(t *testing.T) {
	r := newRig(t)
	legacy := strings.Replace(operationJSON("DEPOSIT", "1"), "walletId", "valletId", 1)
	r.post(legacy).status(200).header("Deprecation", "@1767225600")
	r.post(strings.Replace(legacy, ":1}", ":0}", 1)).header("Deprecation", "@1767225600").problem(400, "invalid_request", "amount")
	both := strings.Replace(legacy, "{", `{"walletId":"`+opText+`",`, 1)
	r.post(both).header("Deprecation", "@1767225600").problem(400, "invalid_request", "valletId")
}

func TestRefusedBodiesNameEveryFault(t *testing.T) {
	r := newRig(t)
	for _, c := range refusedBodies {
		if strings.Contains(c.body, "valletId") {
			continue
		}
		var fields []string
		for _, f := range c.want {
			fields = append(fields, strings.SplitN(f, " ", 2)[0])
		}
		if p := r.post(c.body).problem(400, "invalid_request", fields...); p.Outcome != api.NotApplied {
			t.Errorf("%+v", p)
		}
	}
	if len(r.submitted) > 0 {
		t.Errorf("%d reached the intake", len(r.submitted))
	}
}

// A parameter that is not known may have been meant to change what is done.
func TestUnknownParametersOfWrites(t *testing.T) {
	r := newRig(t)
	for path, body := range map[string]string{
		"/api/v1/wallet?dryRun=true": operationJSON("DEPOSIT", "1"), "/api/v1/wallet/create?dryRun=true": "",
		alicePath + "/operations?dryRun=true": `[{"operationType":"DEPOSIT","amount":1}]`,
	} {
		r.do("POST", path, body, "Content-Type: application/json").problem(400, "invalid_request", "dryRun")
	}
	if len(r.submitted) > 0 {
		t.Errorf("submitted %+v", r.submitted)
	}
}

func TestBodyTooLarge(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxBodyBytes = 200 })
	fits := operationJSON("DEPOSIT", "1")
	fits += strings.Repeat(" ", 200-len(fits))
	r.post(fits).status(200)
	for _, body := range []string{fits + " ", strings.Repeat("x", 1<<20)} {
		r.post(body).problem(413, "body_too_large")
		r.do("POST", "/api/v1/wallet/create", body).problem(413, "body_too_large")
	}
	// without a Content-Length the body is read up to the bound
	req, _ := http.NewRequestWithContext(t.Context(), "POST", r.url+"/api/v1/wallet", struct{ *strings.Reader }{strings.NewReader(fits + " ")})
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 413 {
		t.Errorf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
}

func TestOnlyPlainJSONIsTaken(t *testing.T) {
	r := newRig(t)
	body := operationJSON("DEPOSIT", "1")
	for _, good := range []string{
		"application/json", "Application/JSON", "application/json; charset=utf-8", `application/json;charset="UTF-8"`, "application/json; v=1",
	} {
		r.do("POST", "/api/v1/wallet", body, "Content-Type: "+good).status(200)
	}
	for _, bad := range []string{
		"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/vnd.api+json", "application/json;;=",
	} {
		r.do("POST", "/api/v1/wallet", body, "Content-Type: "+bad).problem(415, "unsupported_media_type", "Content-Type")
	}
	r.do("POST", "/api/v1/wallet", body).problem(415, "unsupported_media_type", "Content-Type")
	r.post(body, "Content-Type: application/json").problem(415, "unsupported_media_type", "Content-Type")
	r.post(body, "Content-Encoding: gzip").problem(415, "unsupported_media_type", "Content-Encoding")
	r.post(body, "Content-Encoding: identity").status(200)
	r.post(body, "Content-Encoding: identity", "Content-Encoding: gzip").problem(415, "unsupported_media_type", "Content-Encoding")
	r.post(body, "Content-Encoding: identity, gzip").problem(415, "unsupported_media_type", "Content-Encoding")
}

func TestPreferSaysHowLongToWait(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		prefer  []string
		wait    time.Duration
		applied string
	}{
		{nil, time.Second, ""},
		{[]string{"wait=5"}, 5 * time.Second, "wait=5"},
		{[]string{"wait=0"}, 0, "wait=0"},
		{[]string{"WAIT = 30 ; x=1, foo"}, 30 * time.Second, "wait=30"},
		{[]string{"wait=31"}, 30 * time.Second, "wait=30"},
		{[]string{"wait=99999999999999999999999"}, 30 * time.Second, "wait=30"},
		{[]string{`wait="7"`}, 7 * time.Second, "wait=7"},
		{[]string{"respond-async"}, 0, "respond-async"},
		{[]string{"Respond-Async; a=b"}, 0, "respond-async"},
		{[]string{"respond-async, wait=2"}, 2 * time.Second, "respond-async, wait=2"},
		{[]string{"wait=2", "respond-async"}, 2 * time.Second, "respond-async, wait=2"},
		{[]string{"wait=2, wait=3"}, 2 * time.Second, "wait=2"},
		{[]string{`x="a,wait=9\",wait=8", wait=3`}, 3 * time.Second, "wait=3"},
		{[]string{"wait=-1"}, time.Second, ""},
		{[]string{"wait=1.5"}, time.Second, ""},
		{[]string{"wait"}, time.Second, ""},
		{[]string{"wait="}, time.Second, ""},
		{[]string{"wait=x, return=minimal"}, time.Second, ""},
		{[]string{"respond-async=1"}, time.Second, ""},
		{[]string{",,;=\"", ""}, time.Second, ""},
	} {
		var headers []string
		for _, p := range c.prefer {
			headers = append(headers, "Prefer: "+p)
		}
		r.post(operationJSON("DEPOSIT", "1"), headers...).status(200).header("Preference-Applied", c.applied)
		if got := r.waits[len(r.waits)-1]; got != c.wait {
			t.Errorf("%q: waits %v", c.prefer, got)
		}
	}
}

func TestErrorsOfTheIntake(t *testing.T) {
	r := newRig(t)
	known := wallet.Operation{ID: wallet.OperationID(alice, "k"), WalletID: alice, Type: wallet.Deposit, Amount: 1, Receipt: wallet.NoReceipt}
	for _, c := range []struct {
		err        error
		status     int
		code       wallet.Code
		fate       api.Fate
		retryAfter string
		retryable  bool
	}{
		{&wallet.Error{Code: wallet.CodeOverloaded, RetryAfter: 2100 * time.Millisecond}, 429, "overloaded", api.NotApplied, "3", true},
		{&wallet.Error{Code: wallet.CodeOverloaded}, 429, "overloaded", api.NotApplied, "1", true},
		{&wallet.Error{Code: wallet.CodeUnavailable, Fate: wallet.Unknown, RetryAfter: time.Second}, 503, "unavailable", api.Unknown, "1", true},
		{&wallet.Error{Code: wallet.CodeUnavailable, Operation: &known}, 503, "unavailable", api.NotApplied, "1", true},
		{&wallet.Error{Code: wallet.CodeInternal, Detail: "s3cret"}, 500, "internal", api.NotApplied, "", true},
		{&wallet.Error{Code: "other", Detail: "s3cret", Fate: wallet.Unknown}, 500, "internal", api.Unknown, "", true},
		{errors.New("s3cret"), 500, "internal", api.Unknown, "", true},
		{fmt.Errorf("x: %w", &wallet.Error{Code: wallet.CodeWalletNotFound, Detail: "no such \"wallet\""}), 404, "wallet_not_found", api.NotApplied, "", false},
	} {
		r.submit = func(wallet.Operation) (wallet.Outcome, error) { return wallet.Outcome{}, c.err }
		r.create = func() (wallet.Created, error) { return wallet.Created{}, c.err }
		a := r.post(operationJSON("DEPOSIT", "1")).header("Retry-After", c.retryAfter)
		p := a.problem(c.status, c.code)
		if p.Outcome != c.fate || p.Retryable != c.retryable || strings.Contains(string(a.body), "s3cret") {
			t.Errorf("%v: %s", c.err, a.body)
		}
		if c.status != 404 {
			r.do("POST", "/api/v1/wallet/create", "").problem(c.status, c.code)
		}
	}
	if n := strings.Count(r.log.String(), "s3cret"); n < 3 {
		t.Errorf("the log has the cause %d times:\n%s", n, r.log)
	}
}

// A write that is answered 503 is what the service is to avoid: an operator learns why, once
// and not once a request.
func TestTheCauseOfA503OfAWriteIsInTheLogOnce(t *testing.T) {
	r := newRig(t)
	cause := errors.New("both are away")
	r.submit = func(wallet.Operation) (wallet.Outcome, error) {
		return wallet.Outcome{}, &wallet.Error{Code: wallet.CodeUnavailable, Fate: wallet.Unknown, Err: cause}
	}
	r.fake.wallet = func() (wallet.Wallet, error) {
		return wallet.Wallet{}, fmt.Errorf("%w: of a read", wallet.ErrUnavailable)
	}
	r.get(alicePath).problem(503, "unavailable")
	for range 10 {
		if a := r.post(operationJSON("DEPOSIT", "1")); strings.Contains(string(a.body), cause.Error()) {
			t.Errorf("%s", a.body)
		}
	}
	if log := r.log.String(); strings.Count(log, cause.Error()) != 1 || !strings.Contains(log, "outcome=unknown") || strings.Contains(log, "of a read") {
		t.Errorf("the log has\n%s", log)
	}
}

func TestAClientThatDoesNotWaitIsCountedAs499(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, rec := &server{}, httptest.NewRecorder()
	s.fail(rec, httptest.NewRequestWithContext(ctx, "POST", "/", nil), fmt.Errorf("x: %w", context.Canceled))
	if rec.Code != 499 || rec.Body.Len() > 0 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestAPanicIsAnswered500AndLogged(t *testing.T) {
	r := newRig(t)
	r.submit = func(wallet.Operation) (wallet.Outcome, error) { panic("s3cret") }
	p := r.post(operationJSON("DEPOSIT", "1"), "Origin: http://a.example").header("Access-Control-Allow-Origin", "*").problem(500, "internal")
	if p.Outcome != api.Unknown || strings.Contains(p.Detail, "s3cret") || !strings.Contains(r.log.String(), "submit_test.go") {
		t.Errorf("%+v\n%s", p, r.log)
	}
	r.wallet = func() (wallet.Wallet, error) { panic("x") }
	if p := r.get("/api/v1/wallets/"+aliceText).problem(500, "internal"); p.Outcome != api.NotApplied {
		t.Errorf("%+v", p)
	}
	r.answerSubmit(func(wallet.Operation) (wallet.Outcome, error) { panic(http.ErrAbortHandler) })
	req, _ := http.NewRequestWithContext(t.Context(), "POST", r.url+"/api/v1/wallet", strings.NewReader(operationJSON("DEPOSIT", "1")))
	req.Header.Set("Content-Type", "application/json")
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Error("the connection was kept")
	}
	r.answerSubmit(nil)
	r.post(operationJSON("DEPOSIT", "1")).status(200)
}

// Of a request in HTTP/1.0 nobody knows where a body of no said length ends: what would be
// read as the next request may be part of it.
func TestNothingFollowsARequestInHTTP10(t *testing.T) {
	r := newRig(t)
	body := operationJSON("DEPOSIT", "1")
	inner := fmt.Sprintf("POST /api/v1/wallet HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	for _, outer := range []string{
		"POST /api/v1/wallet/create HTTP/1.0\r\n", "GET /nothing HTTP/1.0\r\n", "OPTIONS * HTTP/1.0\r\n",
		"OPTIONS /api/v1/wallet HTTP/1.0\r\nOrigin: http://a\r\nAccess-Control-Request-Method: POST\r\n",
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(c, outer+"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"+inner); err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(c)
		if n := strings.Count(string(all), "HTTP/1."); err != nil || n != 1 || len(r.submitted) != 0 {
			t.Errorf("%s%d answers, %d operations, %v:\n%s", outer, n, len(r.submitted), err, all)
		}
		c.Close()
	}
}

// late is a body whose rest does not come before the deadline.
type late struct{}

func (late) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func TestABodyThatIsTooSlowMayBeSentAgain(t *testing.T) {
	r := newRig(t)
	handler, err := New(Config{Intake: r, Balances: r, History: r, Health: r, MaxBodyBytes: testBodyBytes, MaxBulkBytes: testBulkBytes,
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/wallet", late{})
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, req)
	r.contract.check(t, req, w.Result(), w.Body.Bytes())
	if w.Code != http.StatusRequestTimeout || !strings.Contains(w.Body.String(), `"retryable":true`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
