package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/walletd/walletd/internal/wallet"
)

// Errors that only HTTP knows.
const (
	codeBodyTooLarge         wallet.Code = "body_too_large"
	codeRequestTimeout       wallet.Code = "request_timeout"
	codeUnsupportedMediaType wallet.Code = "unsupported_media_type"
	codeNotFound             wallet.Code = "not_found"
	codeMethodNotAllowed     wallet.Code = "method_not_allowed"
	codeInsufficientFunds    wallet.Code = "insufficient_funds"
	codeBalanceOverflow      wallet.Code = "balance_overflow"
)

// statusClientGone is noted for a request whose client did not wait for the
// answer; nobody reads it but the metrics.
const statusClientGone = 499

// sayUnavailable is how often the log has why writes are answered 503.
const sayUnavailable = 10 * time.Second

// retryUnavailable is how long a reader is told to wait for the ledger.
const retryUnavailable = 2 * time.Second

// problemKind is what an error's code fixes of its problem document.
type problemKind struct {
	status    int
	title     string
	detail    string // if the error has none
	retryable bool
}

// problemKinds is the one table from error codes to HTTP.
var problemKinds = map[wallet.Code]problemKind{
	wallet.CodeInvalidRequest:       {http.StatusBadRequest, "Invalid request", "the request is wrong", false},
	codeBodyTooLarge:                {http.StatusRequestEntityTooLarge, "Body too large", "the body is too long", false},
	codeRequestTimeout:              {http.StatusRequestTimeout, "Request timeout", "the body did not come in time", true},
	codeUnsupportedMediaType:        {http.StatusUnsupportedMediaType, "Unsupported media type", "the body must be JSON", false},
	codeNotFound:                    {http.StatusNotFound, "Not found", "there is nothing at this path", false},
	codeMethodNotAllowed:            {http.StatusMethodNotAllowed, "Method not allowed", "the path has no such method", false},
	wallet.CodeWalletNotFound:       {http.StatusNotFound, "Wallet not found", "there is no such wallet", false},
	wallet.CodeOperationNotFound:    {http.StatusNotFound, "Operation not found", "the wallet has no such operation", false},
	codeInsufficientFunds:           {http.StatusUnprocessableEntity, "Insufficient funds", "the wallet does not hold the amount", false},
	codeBalanceOverflow:             {http.StatusUnprocessableEntity, "Balance overflow", "the balance would exceed the largest possible", false},
	wallet.CodeIdempotencyKeyReused: {http.StatusUnprocessableEntity, "Idempotency key reused", "the key belongs to a request with another type or amount", false},
	wallet.CodeNotYetVisible:        {http.StatusConflict, "Not visible yet", "the wallet has not reached this sequence", true},
	wallet.CodeOverloaded:           {http.StatusTooManyRequests, "Overloaded", "a load limit was reached", true},
	wallet.CodeUnavailable:          {http.StatusServiceUnavailable, "Unavailable", "the service cannot answer now", true},
	wallet.CodeInternal:             {http.StatusInternalServerError, "Internal error", "the service failed to answer this request", true},
}

// problem is an RFC 9457 document before it is written.
type problem struct {
	problemKind
	code      wallet.Code
	fate      wallet.Fate
	faults    []wallet.FieldError
	operation *wallet.Operation
}

// fail answers with the problem that err is. What is not a *wallet.Error, and
// whatever caused an internal one, goes to the log and not to the client. So does the
// cause of a write's 503, of one for all within sayUnavailable.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		w.WriteHeader(statusClientGone)
		return
	}
	var e *wallet.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, wallet.ErrUnavailable), errors.Is(err, wallet.ErrSerialization):
		// A read that only the ledger could answer.
		e = &wallet.Error{Code: wallet.CodeUnavailable, Fate: wallet.Unknown, RetryAfter: retryUnavailable}
	default:
		e = &wallet.Error{Code: wallet.CodeInternal, Fate: wallet.Unknown}
	}
	p := newProblem(e, isWrite(r))
	switch {
	case p.code == wallet.CodeInternal:
		s.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	case p.code == wallet.CodeUnavailable && isWrite(r):
		s.unavailable.Do(func() {
			s.Log.WarnContext(r.Context(), "a write was answered 503", "path", r.URL.Path, "outcome", p.fate, "error", err)
		})
	}
	h := w.Header()
	if p.status == http.StatusConflict || p.status == http.StatusTooManyRequests || p.status == http.StatusServiceUnavailable {
		h["Retry-After"] = []string{retryAfter(e.RetryAfter)}
	}
	if e.Operation != nil {
		h["Location"] = []string{operationLocation(e.Operation)}
	}
	writeProblem(w, p)
}

func newProblem(e *wallet.Error, write bool) problem {
	kind, known := problemKinds[e.Code]
	if !known || e.Code == wallet.CodeInternal {
		internal := problemKinds[wallet.CodeInternal]
		return problem{problemKind: internal, code: wallet.CodeInternal, fate: fateOf(e, write), operation: e.Operation}
	}
	if e.Detail != "" {
		kind.detail = e.Detail
	}
	return problem{problemKind: kind, code: e.Code, fate: fateOf(e, write), faults: e.Fields, operation: e.Operation}
}

// fateOf says what became of the request: a read applies nothing.
func fateOf(e *wallet.Error, write bool) wallet.Fate {
	if write && e.Fate != "" {
		return e.Fate
	}
	return wallet.NotApplied
}

func isWrite(r *http.Request) bool { return r.Method == http.MethodPost }

// retryAfter is a Retry-After value: whole seconds, rounded up, at least one.
func retryAfter(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// invalid is the error of a request with the given faults.
func invalid(faults []wallet.FieldError) *wallet.Error {
	detail := fmt.Sprintf("the request has %d faults", len(faults))
	switch {
	case len(faults) >= maxFaults:
		detail = fmt.Sprintf("the request has at least %d faults", len(faults))
	case len(faults) == 1:
		detail = faults[0].Field + " " + faults[0].Detail
	}
	return &wallet.Error{Code: wallet.CodeInvalidRequest, Detail: detail, Fields: faults}
}
