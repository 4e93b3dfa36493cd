package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/walletd/walletd/client"
)

// Unreachable is a request without an answer. Whether it was carried out is not known.
type Unreachable struct{ Err error }

// Error says why there was no answer, and what to look at if nobody listens.
func (u *Unreachable) Error() string {
	if errors.Is(u.Err, syscall.ECONNREFUSED) {
		return "no answer: " + u.Err.Error() + ": is walletd running there? --url or WALLETCTL_URL says where"
	}
	return "no answer: " + u.Err.Error()
}

// Unwrap returns the cause.
func (u *Unreachable) Unwrap() error { return u.Err }

// Refusal is an answer that is no success.
type Refusal struct {
	Status     int
	RetryAfter time.Duration  // 0: not said
	Problem    client.Problem // without a Code if the answer was no problem document
	Body       []byte
	Replayed   bool
}

func refusal(response *http.Response, body []byte) *Refusal {
	r := &Refusal{Status: response.StatusCode, RetryAfter: retryAfter(response.Header), Body: body,
		Replayed: response.Header.Get("Idempotency-Replayed") == "true"}
	if err := json.Unmarshal(body, &r.Problem); err != nil {
		r.Problem = client.Problem{}
	}
	return r
}

// Error returns status, code and detail, then every faulty field on its own line. What
// answered may be anything: control characters, which a terminal obeys, are replaced.
func (r *Refusal) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d", r.Status)
	if r.Problem.Code == "" {
		fmt.Fprintf(&s, " %s, from something that is not walletd", http.StatusText(r.Status))
		return s.String()
	}
	fmt.Fprintf(&s, " %s: %s", r.Problem.Code, r.Problem.Detail)
	for _, fault := range r.Problem.Errors {
		fmt.Fprintf(&s, "\n  %s: %s", fault.Field, fault.Detail)
	}
	return strings.Map(printable, s.String())
}

func printable(r rune) rune {
	if unicode.IsControl(r) && r != '\n' {
		return unicode.ReplacementChar
	}
	return r
}

// Temporary reports whether the same request can succeed later.
func (r *Refusal) Temporary() bool {
	return r.Problem.Retryable || r.Status == http.StatusTooManyRequests || r.Status >= 500
}

// Failed returns the FAILED operation that the refusal is about, or nil.
func (r *Refusal) Failed() *client.Operation {
	if op := r.Problem.Operation; op != nil && op.Status == client.Failed {
		return op
	}
	return nil
}

// retryAfter reads RFC 9110 §10.2.3: seconds or a date.
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
