package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/walletd/walletd/internal/httpapi/api"
	"github.com/walletd/walletd/internal/wallet"
)

// Config is what New needs. AllowedOrigins and Version may be empty.
type Config struct {
	Intake   Intake
	Balances Balances
	History  History
	Health   Health

	Log        *slog.Logger
	Registerer prometheus.Registerer

	DefaultWait    time.Duration // for the outcome, if the request does not say; 0: nobody waits
	MaxBodyBytes   int           // of the longest body that is read
	MaxBulkBytes   int           // the same of a bulk
	AllowedOrigins []string      // of cross-origin requests; none, or "*": any
	Version        string        // shown in the title of the Swagger page
}

func (c Config) check() error {
	switch {
	case c.Intake == nil || c.Balances == nil || c.History == nil || c.Health == nil:
		return errors.New("httpapi: Intake, Balances, History and Health are required")
	case c.Log == nil || c.Registerer == nil:
		return errors.New("httpapi: Log and Registerer are required")
	case c.DefaultWait < 0 || c.DefaultWait > wallet.MaxWait:
		return errors.New("httpapi: DefaultWait must be from 0 to 30 s")
	case c.MaxBodyBytes < 1 || c.MaxBulkBytes < 1:
		return errors.New("httpapi: MaxBodyBytes and MaxBulkBytes are required")
	}
	return nil
}

// server answers the requests that openapi.yaml describes.
type server struct {
	Config
	metrics     *metrics
	memory      memoryBudget
	unavailable rate.Sometimes // why writes are answered 503, in the log
}

// A request that is described but not answered does not compile.
var _ api.ServerInterface = (*server)(nil)

// New returns the handler of the whole HTTP surface. It fails if the
// configuration is incomplete or a metric is already registered.
func New(c Config) (http.Handler, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, err
	}
	s := &server{Config: c, metrics: m, unavailable: rate.Sometimes{Interval: sayUnavailable}}
	routed, err := s.routed()
	if err != nil {
		return nil, err
	}
	return newCORS(c.AllowedOrigins).wrap(routed), nil
}
