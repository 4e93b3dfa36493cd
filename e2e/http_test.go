package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
)

// operation is an operation as the API writes it.
type operation struct {
	OperationID, WalletID, OperationType string
	Amount                               int64
	Status, Reason, Origin               string
	BalanceAfter, Sequence               *int64
	AcceptedAt, AppliedAt                *time.Time
	Partition                            *int32
	Offset                               *int64
}

// document has the members of all the API's documents.
type document struct {
	Operation         *operation // of an outcome or problem
	Balance, Sequence *int64     // of an outcome or wallet
	WalletID          string     // of a wallet
	Code, Detail      string     // of a problem
	Retryable         *bool      // of a problem
	Outcome           string     // of a problem
	Errors            []struct{ Field, Detail string }
	Operations        []operation // of a list
	Outcomes          []bulkOutcome
	NextCursor        string // of a list
}

// answer is what came of a request.
type answer struct {
	code   int
	header http.Header
	body   []byte
	doc    document
	err    error // of the connection
}

func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%d %s", a.code, a.body)
}

// do sends a request; headers are name, value, name, value …
func (r *replica) do(method, path string, body []byte, headers ...string) answer {
	return r.doCtx(context.Background(), method, path, body, headers...)
}

func (r *replica) doCtx(ctx context.Context, method, path string, body []byte, headers ...string) answer {
	req, err := http.NewRequestWithContext(ctx, method, r.url(path), bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := r.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	a := answer{code: res.StatusCode, header: res.Header}
	if a.body, a.err = io.ReadAll(res.Body); a.err == nil && len(a.body) > 0 && path != "/readyz" {
		_ = json.Unmarshal(a.body, &a.doc)
	}
	return a
}

func (r *replica) get(path string, headers ...string) answer {
	return r.do(http.MethodGet, path, nil, headers...)
}

// submit sends one operation.
func (r *replica) submit(id uuid.UUID, kind string, amount int64, headers ...string) answer {
	return r.do(http.MethodPost, "/api/v1/wallet", submission(id, kind, amount), headers...)
}

func submission(id uuid.UUID, kind string, amount int64) []byte {
	return fmt.Appendf(nil, `{"walletId":%q,"operationType":%q,"amount":%d}`, id, kind, amount)
}

const (
	deposit  = "DEPOSIT"
	withdraw = "WITHDRAW"
)

func walletPath(id uuid.UUID) string { return "/api/v1/wallets/" + id.String() }

// create makes a wallet.
func (r *replica) create(t testing.TB) uuid.UUID {
	t.Helper()
	a := r.do(http.MethodPost, "/api/v1/wallet/create", nil)
	if a.err != nil || a.code != http.StatusCreated && a.code != http.StatusAccepted {
		t.Fatalf("create: %v", a)
	}
	return uuid.MustParse(a.doc.WalletID)
}

// expect fails the test unless the answer has the status.
func expect(t testing.TB, a answer, code int) answer {
	t.Helper()
	if a.err != nil || a.code != code {
		t.Fatalf("answered %v, want %d", a, code)
	}
	return a
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
