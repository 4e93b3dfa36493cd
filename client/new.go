package client

import (
	"net"
	"net/http"
	"time"
)

// Limits of the HTTP client that New makes. A request waits at most 30 s for its
// outcome (Prefer: wait) and 15 s for the direct way after it, so an answer that takes
// longer than that is lost.
const (
	dialTimeout     = 5 * time.Second
	headerTimeout   = 50 * time.Second
	requestTimeout  = 55 * time.Second
	idleTimeout     = 90 * time.Second
	maxIdlePerHost  = 256
	keepAlivePeriod = 15 * time.Second
)

// New returns a client of the walletd at baseURL, for example
// http://localhost:8080. It keeps connections and bounds every request; an
// option WithHTTPClient replaces that.
func New(baseURL string, opts ...ClientOption) (*ClientWithResponses, error) {
	return NewClientWithResponses(baseURL, append([]ClientOption{WithHTTPClient(newHTTPClient())}, opts...)...)
}

func newHTTPClient() *http.Client {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlivePeriod}
	return &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           dialer.DialContext,
			ForceAttemptHTTP2:     true,
			MaxIdleConns:          0, // no bound over all hosts; a client talks to few
			MaxIdleConnsPerHost:   maxIdlePerHost,
			IdleConnTimeout:       idleTimeout,
			TLSHandshakeTimeout:   dialTimeout,
			ResponseHeaderTimeout: headerTimeout,
		},
	}
}
