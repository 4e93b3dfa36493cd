package httpapi

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/wallet"
)

// discard is an answer that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkSubmit is all that this package does for one operation.
func BenchmarkSubmit(b *testing.B) {
	f := newFake()
	op := operations()[1]
	f.submit = func(wallet.Operation) (wallet.Outcome, error) {
		f.submitted, f.waits = f.submitted[:0], f.waits[:0]
		return wallet.Outcome{Operation: op}, nil
	}
	h, err := New(Config{
		MaxBodyBytes: testBodyBytes, MaxBulkBytes: testBulkBytes,
		Intake: f, Balances: f, History: f, Health: f,
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		b.Fatal(err)
	}
	body := bytes.NewReader([]byte(operationJSON("DEPOSIT", "1000")))
	req := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/api/v1/wallet", body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", "order-4711")
	w := discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = body.Seek(0, 0)
		clear(w.header)
		h.ServeHTTP(w, req)
	}
}
