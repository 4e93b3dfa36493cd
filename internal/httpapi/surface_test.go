package httpapi

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/walletd/walletd/internal/httpapi/api"
)

func TestOtherMethodsAndPaths(t *testing.T) {
	r := newRig(t)
	for path, allow := range map[string]string{
		"/api/v1/wallet": "POST, OPTIONS", "/api/v1/wallet/create": "POST, OPTIONS",
		alicePath: "GET, HEAD, OPTIONS", alicePath + "/operations": "GET, HEAD, POST, OPTIONS", alicePath + "/operations/" + opText: "GET, HEAD, OPTIONS",
		"/livez": "GET, HEAD, OPTIONS", "/readyz": "GET, HEAD, OPTIONS", "/api/v1/openapi.yaml": "GET, HEAD, OPTIONS",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} {
			if !strings.Contains(allow, method) {
				r.do(method, path, "").header("Allow", allow).problem(405, "method_not_allowed")
			}
		}
		r.do("OPTIONS", path, "").status(204).header("Allow", allow)
	}
	for _, path := range []string{
		"/", "/api", "/api/v1", "/api/v1/wallet/", "/api/v1//wallet", "/api/v1/./wallet", "/api/v1/wallets/", "/api/v2/wallet",
		"/api/v1/wallets//operations", alicePath + "/", alicePath + "/x", "/api/v1/swagger/x.js", "/api/v1/swagger/..", "/metrics", "/debug/pprof/",
	} {
		if p := r.get(path).problem(404, "not_found"); p.Outcome != api.NotApplied {
			t.Errorf("%+v", p)
		}
		r.do("POST", path, operationJSON("DEPOSIT", "1"))
	}
	if len(r.submitted) > 0 {
		t.Error("something was submitted")
	}
}

func TestCORSAnyOrigin(t *testing.T) {
	r := newRig(t)
	a := r.do("OPTIONS", "/api/v1/wallet", "", "Origin: http://a.example", "Access-Control-Request-Method: POST",
		"Access-Control-Request-Headers: content-type,idempotency-key,prefer").status(204).header("Access-Control-Allow-Origin", "*")
	for _, want := range []string{"Content-Type", "Idempotency-Key", "Prefer", "If-None-Match", "Cache-Control", "Authorization"} {
		if !strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), want) {
			t.Errorf("%s must not be sent", want)
		}
	}
	a.header("Access-Control-Allow-Methods", "GET, HEAD, POST").header("Vary", "")
	b := r.post(operationJSON("WITHDRAW", "1"), "Origin: null").header("Access-Control-Allow-Origin", "*")
	for _, want := range append(ours, "Allow") {
		if !strings.Contains(b.Header.Get("Access-Control-Expose-Headers"), want) {
			t.Errorf("%s cannot be read", want)
		}
	}
	r.get("/nothing", "Origin: http://a.example").header("Access-Control-Allow-Origin", "*").status(404)
	r.get(alicePath).header("Access-Control-Allow-Origin", "").header("Access-Control-Expose-Headers", "")
}

func TestCORSListedOrigins(t *testing.T) {
	r := newRig(t, func(c *Config) { c.AllowedOrigins = []string{"https://shop.example", "https://b.example"} })
	r.get(alicePath, "Origin: https://b.example").status(200).header("Access-Control-Allow-Origin", "https://b.example").header("Vary", "Origin")
	r.get(alicePath, "Origin: https://c.example").status(200).header("Access-Control-Allow-Origin", "").header("Vary", "Origin")
	r.get(alicePath).header("Vary", "Origin")
	if c := newCORS([]string{"https://b.example", "*"}); c.origins != nil {
		t.Error("* is not any origin")
	}
}

// The description sends requests to wherever it was read from, so that "Try it
// out" needs no configuration.
func TestDescriptionIsServed(t *testing.T) {
	r := newRig(t)
	a := r.get("/api/v1/openapi.yaml").status(200).header("Content-Type", "application/yaml")
	if !bytes.Equal(a.body, description) || r.contract.doc.Servers[0].URL != "/" {
		t.Error("not the description")
	}
}

func TestSwaggerNeedsNoOtherHost(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Version = "1.2.3" })
	for _, path := range []string{"/api/v1/swagger", "/api/v1/swagger/"} {
		r.get(path).status(302).header("Location", "/api/v1/swagger/index.html")
	}
	page := r.get("/api/v1/swagger/index.html").status(200)
	if !bytes.Contains(page.body, []byte("walletd 1.2.3")) || !bytes.Contains(page.body, []byte("/openapi.yaml")) {
		t.Errorf("%s", page.body)
	}
	assets := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllSubmatch(page.body, -1)
	if len(assets) < 3 {
		t.Errorf("%d assets", len(assets))
	}
	for _, asset := range assets {
		if got := r.get(string(asset[1])).status(200); len(got.body) == 0 || strings.Contains(string(asset[1]), "//") {
			t.Errorf("%s", asset[1])
		}
	}
}

func TestMetrics(t *testing.T) {
	r := newRig(t)
	r.post(operationJSON("DEPOSIT", "1"))
	r.post(operationJSON("WITHDRAW", "2"))
	r.get(alicePath)
	r.do("HEAD", alicePath, "")
	r.do("BREW", alicePath, "")
	r.get("/nothing")
	want := `
# HELP walletd_http_requests_in_flight Requests being answered now.
# TYPE walletd_http_requests_in_flight gauge
walletd_http_requests_in_flight 0
# HELP walletd_http_requests_total Requests answered, by route, method and status; 499: the client did not wait.
# TYPE walletd_http_requests_total counter
walletd_http_requests_total{method="GET",route="/api/v1/wallets/{walletId}",status="200"} 1
walletd_http_requests_total{method="GET",route="unmatched",status="404"} 1
walletd_http_requests_total{method="HEAD",route="/api/v1/wallets/{walletId}",status="200"} 1
walletd_http_requests_total{method="POST",route="/api/v1/wallet",status="200"} 1
walletd_http_requests_total{method="POST",route="/api/v1/wallet",status="422"} 1
walletd_http_requests_total{method="POST",route="/api/v1/wallet",status="429"} 0
walletd_http_requests_total{method="POST",route="/api/v1/wallet",status="500"} 0
walletd_http_requests_total{method="POST",route="/api/v1/wallet",status="503"} 0
walletd_http_requests_total{method="POST",route="/api/v1/wallet/create",status="429"} 0
walletd_http_requests_total{method="POST",route="/api/v1/wallet/create",status="500"} 0
walletd_http_requests_total{method="POST",route="/api/v1/wallet/create",status="503"} 0
walletd_http_requests_total{method="POST",route="/api/v1/wallets/{walletId}/operations",status="429"} 0
walletd_http_requests_total{method="POST",route="/api/v1/wallets/{walletId}/operations",status="500"} 0
walletd_http_requests_total{method="POST",route="/api/v1/wallets/{walletId}/operations",status="503"} 0
walletd_http_requests_total{method="other",route="/api/v1/wallets/{walletId}",status="405"} 1
`
	err := testutil.GatherAndCompare(r.registry, strings.NewReader(want), "walletd_http_requests_total", "walletd_http_requests_in_flight")
	if err != nil {
		t.Error(err)
	}
}

// Nor must it cost the answer, where the client wants the connection closed behind it.
func TestARefusalArrivesBeforeTheConnectionIsClosed(t *testing.T) {
	r := newRig(t)
	body := strings.Repeat(" ", 3<<20)
	for range 30 {
		for _, length := range []int64{int64(len(body)), -1} { // or in chunks
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/api/v1/wallet", io.NopCloser(strings.NewReader(body)))
			if err != nil {
				t.Fatal(err)
			}
			request.ContentLength, request.Close = length, true
			request.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatalf("a body of length %d: %v", length, err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("a body of length %d: %s", length, resp.Status)
			}
		}
	}
}

// A body that is refused unread must not cost the next request of the connection.
func TestConnectionIsKeptAfterRefusal(t *testing.T) {
	r := newRig(t)
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport}
	for _, body := range []string{"{", strings.Repeat(" ", 20000), operationJSON("DEPOSIT", "1")} {
		resp, err := client.Post(r.url+"/api/v1/wallet", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	if len(r.submitted) != 1 {
		t.Errorf("%d submitted", len(r.submitted))
	}
}
