package e2e_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestBadInputChangesNothing(t *testing.T) {
	t.Parallel()
	s := startStack(t, 1)
	r, id := s.replicas[0], s.wallet()
	expect(t, r.submit(id, deposit, 100), 200)
	s.drained()
	ends := s.ends()

	field := func(walletID, kind, amount string) string {
		return fmt.Sprintf(`{"walletId":%s,"operationType":%s,"amount":%s}`, walletID, kind, amount)
	}
	good := fmt.Sprintf("%q", id)
	cases := []struct {
		name, body string
		code       int
		fields     string // named by the problem, in any order
	}{
		{"nothing", "", 400, "body"},
		{"not JSON", "deposit please", 400, "body"},
		{"cut off", `{"walletId":`, 400, ""},
		{"an array", "[]", 400, "body"},
		{"a string", `"x"`, 400, "body"},
		{"null", "null", 400, "body"},
		{"two documents", field(good, `"DEPOSIT"`, "1") + "{}", 400, "body"},
		{"nothing in it", "{}", 400, "walletId operationType amount"},
		{"all wrong", field(`"x"`, `"GIFT"`, "-1"), 400, "walletId operationType amount"},
		{"zero", field(good, `"DEPOSIT"`, "0"), 400, "amount"},
		{"minus zero", field(good, `"DEPOSIT"`, "-0"), 400, "amount"},
		{"negative", field(good, `"DEPOSIT"`, "-5"), 400, "amount"},
		{"fraction", field(good, `"DEPOSIT"`, "1.5"), 400, "amount"},
		{"whole fraction", field(good, `"DEPOSIT"`, "1.0"), 400, "amount"},
		{"exponent", field(good, `"DEPOSIT"`, "1e3"), 400, "amount"},
		{"text", field(good, `"DEPOSIT"`, `"5"`), 400, "amount"},
		{"bool", field(good, `"DEPOSIT"`, "true"), 400, "amount"},
		{"no amount", field(good, `"DEPOSIT"`, "null"), 400, "amount"},
		{"beyond exact", field(good, `"DEPOSIT"`, "9007199254740992"), 400, "amount"},
		{"beyond 64 bits", field(good, `"DEPOSIT"`, "99999999999999999999"), 400, "amount"},
		{"very long number", field(good, `"DEPOSIT"`, strings.Repeat("9", 5000)), 400, "amount"},
		{"leading zero", field(good, `"DEPOSIT"`, "01"), 400, ""},
		{"plus", field(good, `"DEPOSIT"`, "+1"), 400, ""},
		{"lower case type", field(good, `"deposit"`, "1"), 400, "operationType"},
		{"type is a number", field(good, "1", "1"), 400, "operationType"},
		{"id without hyphens", field(fmt.Sprintf("%q", strings.ReplaceAll(id.String(), "-", "")), `"DEPOSIT"`, "1"), 400, "walletId"},
		{"id in braces", field(fmt.Sprintf(`"{%s}"`, id), `"DEPOSIT"`, "1"), 400, "walletId"},
		{"id as URN", field(fmt.Sprintf(`"urn:uuid:%s"`, id), `"DEPOSIT"`, "1"), 400, "walletId"},
		{"nil id", field(`"00000000-0000-0000-0000-000000000000"`, `"DEPOSIT"`, "1"), 400, "walletId"},
		{"id is a number", field("7", `"DEPOSIT"`, "1"), 400, "walletId"},
		{"duplicate key", fmt.Sprintf(`{"walletId":%s,"operationType":"DEPOSIT","amount":1,"amount":2}`, good), 400, "amount"},
		{"duplicate key, escaped", fmt.Sprintf(`{"walletId":%s,"operationType":"DEPOSIT","amount":1,"\u0061mount":2}`, good), 400, "amount"},
		{"unknown member", fmt.Sprintf(`{"walletId":%s,"operationType":"DEPOSIT","amount":1,"note":"x"}`, good), 400, "note"},
		{"spellings disagree", fmt.Sprintf(`{"walletId":%s,"valletId":%q,"operationType":"DEPOSIT","amount":1}`, good, uuid.New()), 400, "valletId"},
		{"too large", field(good, `"DEPOSIT"`, "1"+strings.Repeat(" ", 20000)), 413, ""},
		{"deep", strings.Repeat("[", 8000), 400, ""},
		{"not UTF-8", field(good, "\"DEP\xff\xfe\"", "1"), 400, ""},
		{"NUL", field(good, "\"DEPOSIT\x00\"", "1"), 400, ""},
	}
	for _, c := range cases {
		a := r.do(http.MethodPost, "/api/v1/wallet", []byte(c.body))
		if a.err != nil || a.code != c.code || a.doc.Outcome != "not_applied" || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %v", c.name, a)
			continue
		}
		for _, f := range strings.Fields(c.fields) {
			if !strings.Contains(fmt.Sprint(a.doc.Errors), "{"+f+" ") {
				t.Errorf("%s: %s is not named in %v", c.name, f, a.doc.Errors)
			}
		}
	}
	body := submission(id, deposit, 1)
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", ""} {
		if a := r.do(http.MethodPost, "/api/v1/wallet", body, "Content-Type", media); a.code != 415 {
			t.Errorf("media type %q: %v", media, a)
		}
	}
	if a := r.do(http.MethodPost, "/api/v1/wallet", body, "Content-Encoding", "gzip"); a.code != 415 {
		t.Errorf("compressed: %v", a)
	}
	for _, path := range []string{"/api/v1/wallets/x", "/api/v1/wallets/" + strings.ReplaceAll(id.String(), "-", ""), walletPath(id) + "?minSequence=x",
		walletPath(id) + "?minSequence=1&minSequence=2", walletPath(id) + "?min=1", walletPath(id) + "/operations?limit=0", walletPath(id) + "/operations?limit=1001",
		walletPath(id) + "/operations?cursor=x", walletPath(id) + "/operations?status=DONE", walletPath(id) + "/operations?from=yesterday",
		walletPath(id) + "/operations?page=2", walletPath(id) + "/operations/x", walletPath(id) + "/operations?limit=%zz"} {
		if a := r.get(path); a.code != 400 {
			t.Errorf("GET %s: %v", path, a)
		}
	}
	for _, x := range []struct {
		method, path string
		code         int
	}{
		{"GET", "/api/v1/wallet", 405}, {"PUT", "/api/v1/wallet", 405}, {"DELETE", walletPath(id), 405}, {"POST", walletPath(id), 405},
		{"GET", "/", 404}, {"GET", "/api/v1/wallets/", 404}, {"GET", "//api/v1/wallet", 404}, {"POST", "/api/v2/wallet", 404},
	} {
		if a := r.do(x.method, x.path, nil); a.code != x.code {
			t.Errorf("%s %s: %v", x.method, x.path, a)
		}
	}
	rawRequests(t, r)
	s.drained()
	if got := s.ends(); fmt.Sprint(got) != fmt.Sprint(ends) {
		t.Errorf("the journal ends at %v, before at %v", got, ends)
	}
	if ops := s.audit(id, nil); len(ops) != 1 {
		t.Errorf("%d operations", len(ops))
	}
}

// rawRequests sends what no HTTP client would.
func rawRequests(t *testing.T, r *replica) {
	t.Helper()
	address := strings.TrimPrefix(r.url(""), "http://")
	for _, raw := range []string{
		"POST /api/v1/wallet HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{}",
		"POST /api/v1/wallet HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: -1\r\n\r\n",
		"POST /api/v1/wallet HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"GET /api/v1/wallets/%00 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /api/v1/wallets/../../etc HTTP/1.1\r\nHost: x\r\n\r\n",
		"NONSENSE\r\n\r\n",
		"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
		"GET /api/v1/wallets/x HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("a", 100_000) + "\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = conn.Write([]byte(raw))
		_ = conn.(*net.TCPConn).CloseWrite()
		line, _ := bufio.NewReader(conn).ReadString('\n')
		conn.Close()
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] >= "500" && fields[1] != "505" {
			t.Errorf("%.60q: %s", raw, line)
		}
	}
}

func TestAWalletOverItsBoundGets429AndOthersDoNot(t *testing.T) {
	t.Parallel()
	const limit = 10
	s := startStack(t, 1, fmt.Sprint("WALLETD_WALLET_REQUESTS=", limit))
	r, busy, calm := s.replicas[0], s.wallet(), s.wallet()
	expect(t, r.submit(busy, deposit, 1), 200)
	conn := s.connect()
	hold := s.lock(conn, busy)
	ends := s.ends()
	var waiting sync.WaitGroup
	var mu sync.Mutex
	sends := []*send{}
	counts := map[int]int{}
	for n := range 10 * limit {
		waiting.Go(func() {
			x := &send{wallet: busy, key: fmt.Sprint("over-", n), kind: deposit, amount: 1, sent: time.Now(), by: r.incarnation()}
			x.answer = r.submit(busy, deposit, 1, "Idempotency-Key", x.key, "Prefer", "wait=5")
			x.end = time.Now()
			mu.Lock()
			defer mu.Unlock()
			sends, counts[x.answer.code] = append(sends, x), counts[x.answer.code]+1
		})
	}
	eventually(t, "requests are refused", func() bool { mu.Lock(); defer mu.Unlock(); return counts[429] == 9*limit })
	for range 20 {
		began := time.Now()
		expect(t, r.submit(calm, deposit, 1), 200)
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("another wallet waited %s", d)
		}
	}
	hold()
	waiting.Wait()
	t.Logf("answers: %v", counts)
	for _, x := range sends {
		if x.answer.code == 429 && (x.answer.header.Get("Retry-After") < "1" || x.answer.doc.Code != "overloaded" || x.answer.doc.Outcome != "not_applied") {
			t.Errorf("answered %v, Retry-After %q", x.answer, x.answer.header.Get("Retry-After"))
		}
	}
	if counts[429] != 9*limit || counts[200]+counts[202] != limit {
		t.Errorf("answers %v", counts)
	}
	s.drained()
	total := int64(0)
	for p, end := range s.ends() {
		total += end - ends[p]
	}
	t.Logf("%d records written meanwhile", total)
	if ops := s.audit(busy, nil); len(ops) != 1+limit {
		t.Errorf("%d operations", len(ops))
	}
}
