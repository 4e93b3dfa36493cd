package httpapi

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// Stack returns the HTTP stack of the service around other handlers, by pattern:
// routing, CORS and metrics as New has them. `make bench` measures the service
// against handlers in it that do nothing, or do it another way.
func Stack(reg prometheus.Registerer, handlers map[string]http.HandlerFunc) (http.Handler, error) {
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	s := &server{Config: Config{Log: slog.New(slog.DiscardHandler)}, metrics: m}
	return newCORS(nil).wrap(s.router(handlers)), nil
}
