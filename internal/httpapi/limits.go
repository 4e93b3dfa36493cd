package httpapi

import (
	"io"
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
	lingerTimeout     = 500 * time.Millisecond // from an answer to what was not read, before a connection that is to end is closed
	maxHeaderBytes    = 12 << 10               // net/http takes 4 KiB more: 16 KiB in all
)

// NewServer returns a server for h with the bounds above: a client that sends
// slowly, reads slowly or says nothing is cut off.
func NewServer(address string, h http.Handler) *http.Server {
	return &http.Server{Addr: address, Handler: linger(oneRequestOfHTTP10(serverWide(h))), DisableGeneralOptionsHandler: true, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ConnContext: remember, ConnState: idle}
}

// oneRequestOfHTTP10 ends the connection after a request in HTTP/1.0, whatever answers it,
// a preflight and OPTIONS * too: a body of unknown length would be taken for the next
// request (RFC 9112, 6.1).
func oneRequestOfHTTP10(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !r.ProtoAtLeast(1, 1) {
			w.Header()["Connection"] = []string{"close"}
		}
		next.ServeHTTP(w, r)
	})
}

// linger answers a request that ends its connection before it reads what the request has left,
// and only then lets it be closed: closing a connection with something unread resets it, which
// may take the answer with it (RFC 9112, 9.6). net/http sees to that only where it is the one to end it.
func linger(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		if r.Close && r.ContentLength != 0 {
			c := http.NewResponseController(w)
			_ = c.Flush()
			_ = c.SetReadDeadline(time.Now().Add(lingerTimeout))
			_, _ = io.Copy(io.Discard, r.Body)
		}
	})
}

// serverWide answers OPTIONS *, which is of the server as a whole (RFC 9110, 9.3.7).
// net/http would do so before any handler.
func serverWide(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions && r.RequestURI == "*" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}
