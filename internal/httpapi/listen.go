package httpapi

import (
	"net/http"
	"time"
)

// The bounds that slow or endless clients meet.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 60 * time.Second // from the headers on: above the longest wait
	longAnswerTimeout = 10 * time.Second // from the answer on, if it may not fit into the socket's buffer
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
)

// NewServer returns a server for h with the bounds above: a client that sends
// slowly, reads slowly or says nothing is cut off.
func NewServer(address string, h http.Handler) *http.Server {
	return &http.Server{Addr: address, Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ConnContext: remember, ConnState: idle}
}
