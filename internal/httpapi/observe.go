package httpapi

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/wallet"
)

// metrics of all requests.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "walletd_http_requests_total",
			Help: "Requests answered, by route, method and status; 499: the client did not wait.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "walletd_http_request_duration_seconds",
			Help:    "Time from a request's headers to its answer, waiting for the outcome included.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60},
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "walletd_http_requests_in_flight",
			Help: "Requests being answered now.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.inFlight} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("httpapi: %w", err)
		}
	}
	return m, nil
}

// recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach what is behind.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// failures are counted from 0: a rate does not see the first of a series that was not there.
var failures = []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable}

// observed counts and times the requests of a route, which are of the method unless
// that is "", and answers their panics.
func (s *server) observed(method, route string, next http.HandlerFunc) http.Handler {
	seconds := s.metrics.seconds.WithLabelValues(route)
	if method == http.MethodPost {
		for _, status := range failures {
			s.metrics.requests.WithLabelValues(route, method, statusText(status))
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, rec := time.Now(), &recorder{ResponseWriter: w}
		s.metrics.inFlight.Inc()
		connection := connectionOf(r)
		if r.Body == http.NoBody {
			connection.keep()
		}
		defer func() {
			connection.release()
			s.metrics.inFlight.Dec()
			seconds.Observe(time.Since(start).Seconds())
			s.metrics.requests.WithLabelValues(route, knownMethod(r.Method), statusText(rec.status)).Inc()
			if s.Log.Enabled(r.Context(), slog.LevelDebug) {
				s.Log.DebugContext(r.Context(), "answered", "method", r.Method, "path", r.URL.Path, "status", rec.status, "took", time.Since(start))
			}
		}()
		defer s.recoverPanic(rec, r)
		next(rec, r)
	})
}

// recoverPanic turns a panic into a problem. Once the answer has begun only
// breaking the connection tells the client that it is not whole.
func (s *server) recoverPanic(rec *recorder, r *http.Request) {
	cause := recover()
	switch cause {
	case nil:
		return
	case http.ErrAbortHandler:
		panic(cause)
	}
	s.Log.ErrorContext(r.Context(), "panic", "method", r.Method, "path", r.URL.Path, "cause", cause, "stack", string(debug.Stack()))
	if rec.status != 0 {
		panic(http.ErrAbortHandler)
	}
	for _, name := range []string{"Location", "Etag", "Idempotency-Replayed", "Preference-Applied"} {
		delete(rec.Header(), name) // of the answer that did not come to be
	}
	writeProblem(rec, newProblem(&wallet.Error{Code: wallet.CodeInternal, Fate: wallet.Unknown}, isWrite(r)))
}

// statusText is the status as a label; an answer without one is net/http's 200.
func statusText(status int) string {
	if status == 0 {
		status = http.StatusOK
	}
	return strconv.Itoa(status)
}

// knownMethod keeps the label's values few: a client can send any method.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions,
		http.MethodPut, http.MethodPatch, http.MethodDelete:
		return method
	}
	return "other"
}
