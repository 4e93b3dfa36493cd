package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/walletd/walletd/internal/build"
	"github.com/walletd/walletd/internal/config"
	"github.com/walletd/walletd/internal/httpapi"
)

// addresses are where a system listens.
type addresses struct{ HTTP, Pprof, Metrics string }

// servers are the three listeners: the API, pprof and metrics.
type servers struct {
	all    []*server
	failed chan error // why a listener has broken
	served sync.WaitGroup
}

type server struct {
	*http.Server
	variable string
	most     int // connections
	listener *httpapi.Connections
}

func (s *system) newServers() (*servers, error) {
	api, err := httpapi.New(httpapi.Config{
		Intake: s.intake, Balances: s.balances, History: s.intake, Health: s,
		Log: s.log, Registerer: s.metrics, DefaultWait: s.cfg.Wait, MaxBodyBytes: int(s.cfg.BodyBytes), MaxBulkBytes: int(s.cfg.BulkBytes),
		AllowedOrigins: s.cfg.CORSOrigins, Version: build.Version(),
	})
	if err != nil {
		return nil, err
	}
	debug := http.NewServeMux()
	debug.HandleFunc("/debug/pprof/", pprof.Index)
	debug.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	debug.HandleFunc("/debug/pprof/profile", pprof.Profile)
	debug.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	debug.HandleFunc("/debug/pprof/trace", pprof.Trace)
	metrics := http.NewServeMux()
	metrics.Handle("/metrics", promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}))
	sv := &servers{failed: make(chan error, 3)}
	sv.addAll(s.cfg, api, debug, metrics)
	return sv, nil
}

// operatorConnections bounds those to pprof and to the metrics, each.
const operatorConnections = 100

// addAll adds the three listeners, the API's first.
func (sv *servers) addAll(cfg config.Config, api, debug, metrics http.Handler) {
	sv.add("WALLETD_HTTP_ADDRESS", cfg.HTTPAddress, cfg.Connections, api)
	sv.add("WALLETD_PPROF_ADDRESS", cfg.PprofAddress, operatorConnections, debug)
	sv.add("WALLETD_METRICS_ADDRESS", cfg.MetricsAddress, operatorConnections, metrics)
}

func (sv *servers) add(variable, address string, connections int, h http.Handler) {
	sv.all = append(sv.all, &server{variable: variable, most: connections, Server: httpapi.NewServer(address, h)})
}

// listen opens all listeners or none; every fault is reported, with its variable.
func (sv *servers) listen() error {
	var faults []error
	for _, s := range sv.all {
		listener, err := net.Listen("tcp", s.Addr)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			err = fmt.Errorf("%s: %s is in use by another program: stop that, or set the variable to another address", s.variable, s.Addr)
		case err != nil:
			err = fmt.Errorf("%s: %w", s.variable, err)
		default:
			s.listener = httpapi.BoundConnections(listener, s.most)
		}
		faults = append(faults, err)
	}
	err := errors.Join(faults...)
	if err != nil {
		for _, s := range sv.all {
			if s.listener != nil {
				s.listener.Close()
			}
		}
	}
	return err
}

func (sv *servers) addresses() addresses {
	return addresses{HTTP: sv.all[0].listener.Addr().String(), Pprof: sv.all[1].listener.Addr().String(), Metrics: sv.all[2].listener.Addr().String()}
}

// connections returns how many the API has open, and how many it did without.
func (sv *servers) connections() (open int, shed int64) { return sv.all[0].listener.Open() }

func (sv *servers) serve() {
	for _, s := range sv.all {
		sv.served.Go(func() {
			if err := s.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				sv.failed <- fmt.Errorf("%s: %w", s.variable, err)
			}
		})
	}
}

// shutdown stops listening and waits for the requests under way; when ctx ends
// they are cut off.
func (sv *servers) shutdown(ctx context.Context) error {
	err := sv.all[0].Shutdown(ctx)
	for _, s := range sv.all {
		s.Close()
	}
	sv.served.Wait()
	return err
}
