package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/cmd/walletctl/internal/api"
	"github.com/walletd/walletd/cmd/walletctl/internal/fake"
)

// terminal is walletctl against a fake, as a person uses it.
type terminal struct {
	*testing.T
	service *fake.Server
	in      string // what is typed, or piped
}

func start(t *testing.T) *terminal {
	s := fake.New()
	t.Cleanup(s.Close)
	return &terminal{T: t, service: s}
}

// run runs a command that must end with the code, and returns what it printed.
func (t *terminal) run(code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	got := run(context.WithoutCancel(t.Context()), append([]string{"--url", t.service.URL}, args...), strings.NewReader(t.in), &out, &err, false)
	if got != code {
		t.Fatalf("%q: exit %d, want %d\n%s%s", args, got, code, &out, &err)
	}
	return out.String(), err.String()
}

func (t *terminal) has(text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
}

// wallet makes one.
func (t *terminal) wallet() string {
	t.Helper()
	out, _ := t.run(0, "create", "--json")
	var w client.Wallet
	if err := json.Unmarshal([]byte(out), &w); err != nil {
		t.Fatal(err)
	}
	return w.WalletID.String()
}

func TestMoneyGoesInAndOut(t *testing.T) {
	c := start(t)
	w := c.wallet()
	out, _ := c.run(0, "deposit", w, "1000")
	c.has(out, "APPLIED", "balance after  1000")
	out, _ = c.run(0, "withdraw", w, "250", "--wait", "3", "--json")
	c.has(out, `"balance":750`, `"operationType":"WITHDRAW"`)
	out, errors := c.run(exitRefused, "withdraw", w, "5000")
	c.has(out, "FAILED", "insufficient_funds", "balance after  750")
	c.has(errors, "422 insufficient_funds")
	out, _ = c.run(exitRefused, "withdraw", w, "5000", "--json")
	c.has(out, `"code":"insufficient_funds"`)
	out, _ = c.run(0, "balance", w, "--min-sequence", "4", "--fresh")
	c.has(out, "balance   750", "sequence  4")
	_, errors = c.run(exitRefused, "balance", w, "--min-sequence", "5")
	c.has(errors, "409 not_yet_visible")
}

func TestAKeyIsAppliedOnce(t *testing.T) {
	c := start(t)
	out, _ := c.run(0, "create", "--key", "mine", "--json")
	again, _ := c.run(0, "create", "--key", "mine", "--json")
	if out != again {
		t.Errorf("%s and %s", out, again)
	}
	w := c.wallet()
	c.run(0, "deposit", w, "10", "--key", "k")
	_, errors := c.run(0, "deposit", w, "10", "--key", "k")
	c.has(errors, "this key was used before")
	if n := c.service.Applied(); n != 1 {
		t.Errorf("%d applied", n)
	}
}

// A script that goes on after a withdrawal whose outcome is not known must have said so.
func TestAnOutcomeThatIsNotKnownHasAnExitCode(t *testing.T) {
	c := start(t)
	w := c.wallet()
	c.service.HoldReads = 2
	out, errors := c.run(exitPending, "withdraw", w, "10", "--key", "k")
	c.has(out, "PENDING")
	c.has(errors, "walletctl operation "+w+" ")
	out, _ = c.run(exitPending, "withdraw", w, "10", "--key", "k", "--json")
	c.has(out, `"status":"PENDING"`)
	c.run(0, "withdraw", w, "10", "--key", "k", "--async")
	fields := strings.Fields(errors)
	id := fields[len(fields)-1]
	out, _ = c.run(0, "operation", w, id)
	c.has(out, "PENDING")
	c.run(0, "operation", w, id)
	out, _ = c.run(0, "operation", w, id, "--json")
	c.has(out, `"status":"FAILED"`)
	c.run(exitRefused, "operation", w, uuid.NewString())
}

func TestVersionIsPrinted(t *testing.T) {
	c := start(t)
	flag, _ := c.run(0, "--version")
	command, _ := c.run(0, "version")
	if strings.TrimSpace(flag) == "" || command != flag {
		t.Errorf("%q and %q", flag, command)
	}
}

func TestWhereNobodyListensItSaysWhatToLookAt(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	c := start(t)
	_, errors := c.run(exitUnavailable, "create", "--url", closed.URL)
	c.has(errors, "--url or WALLETCTL_URL")
}

func TestALostAnswerSaysHowToGoOn(t *testing.T) {
	c := start(t)
	w := c.wallet()
	lost := true
	c.service.Fault = func(int) fake.Fault {
		if lost {
			lost = false
			return fake.DropAfter
		}
		return fake.DropBefore // also when the transport tries again by itself
	}
	_, errors := c.run(exitUnavailable, "deposit", w, "10")
	_, key, ok := strings.Cut(errors, "run it again with --key ")
	if !ok {
		t.Fatalf("got %s", errors)
	}
	c.service.Recover()
	key, _, _ = strings.Cut(key, ":")
	c.run(0, "deposit", w, "10", "--key", key)
	if n := c.service.Applied(); n != 1 {
		t.Errorf("%d applied", n)
	}
}

// fill makes so many deposits.
func (t *terminal) fill(w string, deposits int) {
	t.Helper()
	walletd, err := api.New(t.service.URL, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer walletd.Close()
	request := client.OperationRequest{WalletID: uuid.MustParse(w), OperationType: client.Deposit, Amount: 1}
	for range deposits {
		if _, err := walletd.Submit(t.Context(), request, "", ""); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOperationsFollowCursors(t *testing.T) {
	c := start(t)
	w := c.wallet()
	c.fill(w, 1005)
	c.run(exitRefused, "withdraw", w, "5000")
	out, _ := c.run(0, "operations", w, "--limit", "3")
	c.has(out, "SEQUENCE", "1006", "insufficient_funds", "there are more: --all, or --cursor 3")
	out, _ = c.run(0, "operations", w, "--all", "--status", "APPLIED", "--type", "DEPOSIT", "--json")
	var list client.OperationList
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Operations) != 1005 || list.NextCursor != "" {
		t.Errorf("%v, %d operations, cursor %q", err, len(list.Operations), list.NextCursor)
	}
	// What is given, empty or of the year 1, is asked for.
	c.run(exitRefused, "operations", w, "--cursor", "")
	out, _ = c.run(0, "operations", w, "--to", "0001-01-01T00:00:00Z", "--json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Operations) != 0 {
		t.Errorf("%s: %v", out, err)
	}
	out, _ = c.run(0, "operations", c.wallet(), "--json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Errorf("%s: %v", out, err)
	}
}

func TestUsageIsToldBeforeAnythingIsSent(t *testing.T) {
	c := start(t)
	w := c.wallet()
	sent := false
	c.service.Fault = func(int) fake.Fault { sent = true; return fake.None }
	for _, args := range [][]string{
		{"deposit", w}, {"deposit", w, "12.50"}, {"deposit", w, "0"}, {"deposit", w, "+5"}, {"deposit", w, "05"}, {"deposit", "x", "1"}, {"nonsense"},
		{"deposit", w, "1", "--wait", "31"}, {"deposit", w, "1", "--wait", "1", "--async"},
		{"deposit", w, "1", "--wait", "5", "--timeout", "5s"}, {"deposit", w, "1", "--key", "a b"},
		{"operation", w}, {"operation", w, "x"}, {"operation", w, w, "--journal", "1"}, {"operation", w, w, "--key", "k"}, {"balance", w, "--min-sequence", "-1"},
		{"import", "main.go"}, {"operations", w, "--status", "GONE"}, {"operations", w, "--status", ""}, {"operations", w, "--limit", "0"}, {"balance", w, "--url", "nowhere"},
		{"bench", "--rate", "1", "--connections", "1"}, {"bench", "--rate", "100000", "--duration", "1h"},
		{"bench", "--url", "http://192.0.2.1:8080"}, {"bench", "--url", "http://localhost.example.com"},
		{"bench", "--wait", "99"},
	} {
		c.run(exitUsage, args...)
	}
	if sent {
		t.Error("something was sent")
	}
	out, _ := c.run(0, "--help")
	c.has(out, "Exit codes:", "5    a verification failed")
}

// Programs read what came before as a list that has more.
func TestAListThatBreaksOffIsOneDocument(t *testing.T) {
	c := start(t)
	w := c.wallet()
	c.fill(w, 1005)
	reads := 0
	c.service.Distort = func(ops []client.Operation) []client.Operation {
		if reads++; reads > 1 {
			panic(http.ErrAbortHandler)
		}
		return ops
	}
	out, errors := c.run(exitUnavailable, "operations", w, "--all", "--json")
	var list client.OperationList
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Operations) != 1000 || list.NextCursor != "1000" {
		t.Errorf("%v, %d operations, cursor %q", err, len(list.Operations), list.NextCursor)
	}
	c.has(errors, "no answer")
}

func TestASuccessThatIsNotWalletdsIsAnError(t *testing.T) {
	const w = "0192f1c8-7c1e-7b5a-9d2e-3c4b5a697887"
	for _, body := range []string{`{}`, `null`, `{"status":"ok"}`} {
		other := httptest.NewServer(http.HandlerFunc(func(to http.ResponseWriter, _ *http.Request) { _, _ = to.Write([]byte(body)) }))
		for _, args := range [][]string{{"create"}, {"deposit", w, "5"}, {"balance", w}, {"operation", w, w}, {"operations", w}} {
			var out, err bytes.Buffer
			code := run(t.Context(), append([]string{"--json", "--url", other.URL}, args...), strings.NewReader(""), &out, &err, false)
			if code != exitUnavailable || out.Len() > 0 {
				t.Errorf("%s: %q: exit %d\n%s%s", body, args, code, &out, &err)
			}
		}
		other.Close()
	}
}

func TestInterruptedHasItsExitCode(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is it seen that the client is gone
		interrupt()
		<-r.Context().Done()
	}))
	defer silent.Close()
	var out, err bytes.Buffer
	code := run(ctx, []string{"--url", silent.URL, "deposit", "0192f1c8-7c1e-7b5a-9d2e-3c4b5a697887", "5"}, strings.NewReader(""), &out, &err, false)
	if code != exitInterrupted || !strings.Contains(err.String(), "run it again with --key") {
		t.Errorf("exit %d: %s%s", code, &out, &err)
	}
}

// broken panics, as a fault of a command does.
type broken struct{}

func (broken) Write([]byte) (int, error) { panic("a fault") }

// What is not the end that the parser makes of --help must not look like a success.
func TestAPanicIsNotASuccess(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("the panic of a command is lost, and its exit code 0")
		}
	}()
	run(t.Context(), []string{"--help"}, strings.NewReader(""), broken{}, io.Discard, false)
}

// full is a disk that is.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// Who cannot be shown what became of the money has to be able to ask again.
func TestAnAnswerThatCannotBeShownLeavesItsKey(t *testing.T) {
	c := start(t)
	for _, how := range [][]string{nil, {"--json"}} {
		var said bytes.Buffer
		args := append([]string{"--url", c.service.URL, "deposit", c.wallet(), "5", "--key", "salary"}, how...)
		if code := run(t.Context(), args, strings.NewReader(""), full{}, &said, false); code != exitUnexpected {
			t.Errorf("exit %d", code)
		}
		c.has(said.String(), "APPLIED", "no space left", "--key salary")
	}
}

func TestARefusalThatCannotBeShownLeavesItsKey(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"type":"urn:walletd:problem:unavailable","title":"Unavailable","status":503,"code":"unavailable","retryable":true,"outcome":"unknown"}`)
	}))
	defer service.Close()
	var said bytes.Buffer
	code := run(t.Context(), []string{"--url", service.URL, "deposit", uuid.NewString(), "5", "--json"}, strings.NewReader(""), full{}, &said, false)
	if code != exitUnavailable || !strings.Contains(said.String(), "run it again with --key ") || !strings.Contains(said.String(), "no space left") {
		t.Errorf("exit %d\n%s", code, &said)
	}
}

func TestAServiceThatIsNotThereIsUnreachable(t *testing.T) {
	c := start(t)
	w := c.wallet()
	c.service.Fault = func(int) fake.Fault { return fake.Unavailable }
	_, errors := c.run(exitUnavailable, "deposit", w, "1")
	c.has(errors, "503 unavailable: said by the fake")
	c.service.Close()
	c.run(exitUnavailable, "balance", w)
}
