package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestContract(t *testing.T) {
	t.Parallel()
	s := startStack(t, 2)
	a, b := s.replicas[0], s.replicas[1]

	t.Run("create, deposit, withdraw, refuse", func(t *testing.T) {
		made := expect(t, a.do(http.MethodPost, "/api/v1/wallet/create", nil), http.StatusCreated)
		id := uuid.MustParse(made.doc.WalletID)
		if made.header.Get("Location") != walletPath(id) || made.doc.Balance == nil || *made.doc.Balance != 0 || made.doc.Sequence == nil || *made.doc.Sequence != 0 {
			t.Errorf("created %v, Location %q", made, made.header.Get("Location"))
		}
		outcome(t, expect(t, a.submit(id, deposit, 1000), 200), 1000, 1, "APPLIED", "")
		outcome(t, expect(t, b.submit(id, withdraw, 300), 200), 700, 2, "APPLIED", "")
		refused := expect(t, b.submit(id, withdraw, 701), http.StatusUnprocessableEntity)
		if refused.doc.Code != "insufficient_funds" || refused.header.Get("Content-Type") != "application/problem+json" || value(refused.doc.Retryable) {
			t.Errorf("refused %v", refused)
		}
		if op := refused.doc.Operation; op == nil || op.Status != "FAILED" || op.Reason != "insufficient_funds" || value(op.Sequence) != 3 || value(op.BalanceAfter) != 700 {
			t.Errorf("refused %v", refused)
		}
		outcome(t, expect(t, a.submit(id, deposit, maxBalance-700), 200), maxBalance, 4, "APPLIED", "")
		if over := expect(t, a.submit(id, deposit, 1), 422); over.doc.Code != "balance_overflow" || value(over.doc.Operation.Sequence) != 5 {
			t.Errorf("overflow answered %v", over)
		}
		for _, r := range s.replicas {
			for _, x := range []answer{refused} {
				got := expect(t, r.get(x.header.Get("Location")), 200)
				if !strings.Contains(string(got.body), x.doc.Operation.OperationID) || !strings.Contains(string(got.body), `"FAILED"`) {
					t.Errorf("%s has %s for a refused operation", r.name, got.body)
				}
			}
		}
		s.audit(id, nil)
	})

	t.Run("a wallet that does not exist", func(t *testing.T) {
		some, none := s.wallet(), uuid.New()
		ends := s.ends()
		for _, x := range []answer{a.submit(none, deposit, 1), b.get(walletPath(none)), b.get(walletPath(none) + "/operations")} {
			if expect(t, x, 404).doc.Code != "wallet_not_found" {
				t.Errorf("answered %v", x)
			}
		}
		if x := expect(t, a.get(walletPath(some)+"/operations/"+uuid.NewString()), 404); x.doc.Code != "operation_not_found" {
			t.Errorf("answered %v", x)
		}
		if got := s.ends(); fmt.Sprint(got) != fmt.Sprint(ends) {
			t.Errorf("the journal ends at %v, before at %v", got, ends)
		}
	})

	t.Run("asynchronous, by Location on both replicas", func(t *testing.T) {
		id, sent := s.wallet(), []*send(nil)
		pending := 0
		for n := range 200 {
			x := &send{wallet: id, key: fmt.Sprint("async-", n), kind: deposit, amount: 1}
			prefer := []string{"respond-async", "wait=0"}[n%2]
			x.answer = s.replicas[n/2%2].submit(id, deposit, 1, "Prefer", prefer, "Idempotency-Key", x.key)
			expect(t, x.answer, http.StatusAccepted)
			if got := x.answer.header.Get("Preference-Applied"); got != prefer {
				t.Fatalf("Preference-Applied is %q", got)
			}
			location := x.answer.header.Get("Location")
			if !strings.Contains(location, "?journal=") || x.answer.doc.Operation.Status != "PENDING" {
				t.Fatalf("answered %v, Location %s", x.answer, location)
			}
			for _, r := range []*replica{s.replicas[(n/2+1)%2], s.replicas[n/2%2]} {
				got := r.get(location)
				if got.code != 200 {
					t.Fatalf("%s answers %v right after the 202, Location %s", r.name, got, location)
				}
				switch {
				case strings.Contains(string(got.body), `"PENDING"`):
					pending++
				case !strings.Contains(string(got.body), `"APPLIED"`):
					t.Fatalf("neither pending nor applied: %s", got.body)
				}
				if !strings.Contains(string(got.body), x.id()) || !strings.Contains(string(got.body), `"amount":1`) {
					t.Fatalf("another operation: %s", got.body)
				}
			}
			sent = append(sent, x)
		}
		t.Logf("400 looks at operations right after their 202, %d of them PENDING", pending)
		s.auditAll(sent)
	})

	t.Run("receipts that are wrong", func(t *testing.T) {
		id := s.wallet()
		made := expect(t, a.submit(id, deposit, 5), 200)
		path := strings.Split(made.header.Get("Location"), "?")[0]
		expect(t, b.get(path), 200)
		unknown := walletPath(id) + "/operations/" + uuid.NewString()
		for _, receipt := range []string{"0-999999999", "x", "1-", "99-0", "0--1", "-"} {
			if got := b.get(unknown + "?journal=" + receipt); got.code != 400 || got.doc.Code != "invalid_request" {
				t.Errorf("receipt %s: %v", receipt, got)
			}
		}
		if got := b.get(unknown + "?surprise=1"); got.code != 400 {
			t.Errorf("unknown parameter: %v", got)
		}
	})

	t.Run("the former spelling", func(t *testing.T) {
		id := s.wallet()
		body := fmt.Appendf(nil, `{"valletId":%q,"operationType":"DEPOSIT","amount":7}`, id)
		old := expect(t, a.do(http.MethodPost, "/api/v1/wallet", body), 200)
		if old.header.Get("Deprecation") == "" || !strings.Contains(string(old.body), "walletId") {
			t.Errorf("answered %v, %v", old, old.header)
		}
		if now := expect(t, a.submit(id, deposit, 7), 200); now.header.Get("Deprecation") != "" {
			t.Errorf("Deprecation without the former spelling")
		}
		both := fmt.Appendf(nil, `{"walletId":%q,"valletId":%q,"operationType":"DEPOSIT","amount":7}`, id, id)
		expect(t, a.do(http.MethodPost, "/api/v1/wallet", both), 200)
	})

	t.Run("ETag, minSequence, and who reads after an outcome", func(t *testing.T) {
		id := s.wallet()
		for n := range int64(200) {
			x := expect(t, s.replicas[n%2].submit(id, deposit, 1), 200)
			other := s.replicas[(n+1)%2]
			if got := expect(t, other.get(walletPath(id)), 200); value(got.doc.Sequence) < value(x.doc.Sequence) {
				t.Fatalf("plain GET on the other replica after sequence %d shows %s", value(x.doc.Sequence), got.body)
			}
			for _, r := range s.replicas {
				got := expect(t, r.get(fmt.Sprintf("%s?minSequence=%d", walletPath(id), value(x.doc.Sequence))), 200)
				if value(got.doc.Sequence) < value(x.doc.Sequence) || value(got.doc.Balance) != value(got.doc.Sequence) {
					t.Fatalf("minSequence=%d shows %s", value(x.doc.Sequence), got.body)
				}
			}
		}
		got := expect(t, a.get(walletPath(id)), 200)
		tag := got.header.Get("ETag")
		for _, r := range s.replicas {
			if x := r.get(walletPath(id), "If-None-Match", tag); x.code != 304 || len(x.body) > 0 || x.header.Get("ETag") != tag {
				t.Errorf("%s with its ETag %s: %v", r.name, tag, x)
			}
		}
		late := expect(t, a.get(walletPath(id)+"?minSequence=201"), http.StatusConflict)
		if late.doc.Code != "not_yet_visible" || late.header.Get("Retry-After") == "" {
			t.Errorf("minSequence beyond the last: %v", late)
		}
		expect(t, a.submit(id, withdraw, 1), 200)
		if x := b.get(walletPath(id), "If-None-Match", tag); x.code != 200 {
			t.Errorf("after a change the old ETag answers %v", x)
		}
	})

	t.Run("a list that is read while it grows", func(t *testing.T) {
		id := s.wallet()
		l := s.start(load{wallets: []uuid.UUID{id}, rate: 300})
		eventually(t, "some operations are applied", func() bool { return l.answered(200, 422) > 150 })
		seen, last := map[string]bool{}, int64(0)
		for cursor, n := "", 0; ; n++ {
			path := walletPath(id) + "/operations?limit=20"
			if cursor != "" {
				path += "&cursor=" + cursor
			}
			got := expect(t, s.replicas[n%2].get(path), 200)
			for _, op := range got.doc.Operations {
				if seen[op.OperationID] || last > 0 && value(op.Sequence) != last-1 {
					t.Fatalf("page %d: after sequence %d comes %s", n, last, show(op))
				}
				seen[op.OperationID], last = true, value(op.Sequence)
			}
			if cursor = got.doc.NextCursor; cursor == "" {
				break
			}
		}
		if last != 1 {
			t.Errorf("the list ends at sequence %d", last)
		}
		sends := l.stop()
		t.Log(summary(sends))
		only(t, sends, 200, 422)
		s.auditAll(sends)
		failed := expect(t, a.get(walletPath(id)+"/operations?status=FAILED&operationType=WITHDRAW&limit=1000"), 200)
		for _, op := range failed.doc.Operations {
			if op.Status != "FAILED" || op.OperationType != withdraw {
				t.Errorf("the filter lets through %s", show(op))
			}
		}
	})

	t.Run("who may call from where", func(t *testing.T) {
		for _, path := range []string{"/api/v1/wallet", "/api/v1/wallet/create", walletPath(uuid.New())} {
			x := a.do(http.MethodOptions, path, nil, "Origin", "https://shop.example", "Access-Control-Request-Method", "POST",
				"Access-Control-Request-Headers", "content-type,idempotency-key,prefer")
			allowed := strings.ToLower(x.header.Get("Access-Control-Allow-Headers"))
			if x.code != 204 || x.header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(x.header.Get("Access-Control-Allow-Methods"), "POST") ||
				!strings.Contains(allowed, "idempotency-key") || !strings.Contains(allowed, "prefer") {
				t.Errorf("preflight of %s: %v %v", path, x, x.header)
			}
		}
		if x := a.get(walletPath(uuid.New()), "Origin", "https://shop.example"); x.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("an error without CORS headers: %v", x.header)
		}
	})

	t.Run("pprof, metrics, health", func(t *testing.T) {
		if text := a.dump(); !strings.Contains(text, "goroutine profile") {
			t.Errorf("pprof answers %.100s", text)
		}
		if a.metric("walletd_component_up") != 3 || a.metric("go_goroutines") < 1 || a.metric("walletd_batches_total")+b.metric("walletd_batches_total") < 1 {
			t.Error("metrics are missing")
		}
		expect(t, a.get("/livez"), 200)
		expect(t, a.get("/debug/pprof/"), 404)
		expect(t, a.get("/metrics"), 404)
		if h, err := a.health(); err != nil || h.Status != "ready" || h.code != 200 {
			t.Errorf("readyz: %v %v", h, err)
		}
	})
}

// outcome checks a 200.
func outcome(t *testing.T, a answer, balance, sequence int64, status, reason string) {
	t.Helper()
	op := a.doc.Operation
	if op == nil || value(a.doc.Balance) != balance || value(a.doc.Sequence) != sequence || op.Status != status || op.Reason != reason ||
		value(op.BalanceAfter) != balance || value(op.Sequence) != sequence || op.Origin != "journal" || op.AppliedAt == nil || op.AcceptedAt == nil {
		t.Errorf("answered %v, want balance %d, sequence %d, %s%s", a, balance, sequence, status, reason)
	}
	if !strings.HasPrefix(a.header.Get("Location"), "/api/v1/wallets/"+op.WalletID+"/operations/"+op.OperationID) {
		t.Errorf("Location %q", a.header.Get("Location"))
	}
}
