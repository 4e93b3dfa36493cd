package httpapi

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/httpapi/api"
	"github.com/walletd/walletd/internal/wallet"
)

const (
	aliceText = "0192f1c8-7c1e-7b5a-9d2e-3c4b5a697887"
	opText    = "0192f1c8-9f3a-7d21-8a54-0d1c2b3a4958"
)

var alice = uuid.MustParse(aliceText)

// rig is a server over fakes that holds every answer against the description.
type rig struct {
	*fake
	t        *testing.T
	url      string
	contract *contract
	log      *bytes.Buffer
	registry *prometheus.Registry
}

// What is read of a body, and of a bulk, unless a test wants it otherwise.
const (
	testBodyBytes = 16 << 10
	testBulkBytes = 1 << 20
)

func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{fake: newFake(), t: t, contract: newContract(t), log: &bytes.Buffer{}, registry: prometheus.NewRegistry()}
	r.wallets[alice] = wallet.State{}
	c := Config{
		Intake: r, Balances: r, History: r, Health: r,
		Log:         slog.New(slog.NewTextHandler(r.log, nil)),
		Registerer:  r.registry,
		DefaultWait: time.Second, MaxBodyBytes: testBodyBytes, MaxBulkBytes: testBulkBytes,
	}
	for _, f := range change {
		f(&c)
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = NewServer("", h)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.Start()
	t.Cleanup(srv.Close)
	r.url = srv.URL
	return r
}

// answer is a response with its body read.
type answer struct {
	t *testing.T
	*http.Response
	body []byte
}

// do sends a request; headers are "Name: value" lines.
func (r *rig) do(method, path, body string, headers ...string) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Add(name, strings.TrimSpace(value))
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	r.contract.check(r.t, req, resp, text)
	return answer{r.t, resp, text}
}

func (r *rig) get(path string, headers ...string) answer {
	r.t.Helper()
	return r.do(http.MethodGet, path, "", headers...)
}

// post submits an operation.
func (r *rig) post(body string, headers ...string) answer {
	r.t.Helper()
	return r.do(http.MethodPost, "/api/v1/wallet", body, append(headers, "Content-Type: application/json")...)
}

func operationJSON(kind string, amount string) string {
	return `{"walletId":"` + aliceText + `","operationType":"` + kind + `","amount":` + amount + `}`
}

func (a answer) status(want int) answer {
	a.t.Helper()
	if a.StatusCode != want {
		a.t.Fatalf("status %d, want %d: %s", a.StatusCode, want, a.body)
	}
	return a
}

func (a answer) header(name, want string) answer {
	a.t.Helper()
	if got := a.Header.Get(name); got != want {
		a.t.Errorf("%s: %q, want %q", name, got, want)
	}
	return a
}

func (a answer) text(want string) answer {
	a.t.Helper()
	if string(a.body) != want {
		a.t.Errorf("body\n%s, want\n%s", a.body, want)
	}
	return a
}

// problem reads a problem and checks its code and what goes with it.
func (a answer) problem(status int, code wallet.Code, fields ...string) api.Problem {
	a.t.Helper()
	a.status(status).header("Content-Type", "application/problem+json").header("Cache-Control", "no-store")
	var p api.Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
	if p.Status != status || string(p.Code) != string(code) {
		a.t.Errorf("status %d and code %s, want %d and %s", p.Status, p.Code, status, code)
	}
	got := []string{}
	for _, f := range p.Errors {
		got = append(got, f.Field)
	}
	if !slices.Equal(got, append([]string{}, fields...)) {
		a.t.Errorf("faults of %q, want %q: %s", got, fields, a.body)
	}
	return p
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	good := func() Config {
		f := newFake()
		return Config{
			Intake: f, Balances: f, History: f, Health: f,
			Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), MaxBodyBytes: testBodyBytes, MaxBulkBytes: testBulkBytes,
		}
	}
	for name, spoil := range map[string]func(*Config){
		"Intake":       func(c *Config) { c.Intake = nil },
		"Log":          func(c *Config) { c.Log = nil },
		"DefaultWait":  func(c *Config) { c.DefaultWait = wallet.MaxWait + 1 },
		"MaxBodyBytes": func(c *Config) { c.MaxBodyBytes = 0 },
	} {
		c := good()
		spoil(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := good()
	if _, err := New(c); err != nil {
		t.Fatal(err)
	}
	if _, err := New(c); err == nil {
		t.Error("metrics were registered twice")
	}
}
