package httpapi

import (
	"container/list"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Connections is a listener with a bound on its open connections, so that file
// descriptors and memory do not run out. Beyond the bound the connection goes that has
// waited for its client longest: to say something, to end its request, or to ask again.
// Those whose request was read whole stay until it is answered; if all are such, the
// newcomer is answered 429 and closed.
type Connections struct {
	net.Listener
	most int

	mu      sync.Mutex
	open    int
	waiting list.List // *connection, who has waited longest first
	shed    int64
	refused chan struct{} // a place for each newcomer that is being refused
}

// refusing bounds how many newcomers are told why at once; others are just closed.
const (
	refusing       = 64
	refusalTimeout = time.Second
	turnedAway     = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\nConnection: close\r\n\r\n" +
		`{"type":"urn:walletd:problem:overloaded","title":"Overloaded","status":429,"detail":"too many connections","code":"overloaded","retryable":true,"outcome":"not_applied"}`
)

// BoundConnections returns a listener that holds as many connections, at least one.
// It takes effect with a server of NewServer.
func BoundConnections(l net.Listener, most int) *Connections {
	return &Connections{Listener: l, most: most, refused: make(chan struct{}, refusing)}
}

// Open returns how many connections are open, and how many were ever closed for others.
func (cs *Connections) Open() (open int, shed int64) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.open, cs.shed
}

// Accept implements net.Listener.
func (cs *Connections) Accept() (net.Conn, error) {
	for {
		nc, err := cs.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: nc, of: cs}
		if cs.add(c) {
			return c, nil
		}
		cs.refuse(nc)
	}
}

// add makes room for a newcomer; false if there is none.
func (cs *Connections) add(c *connection) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.open >= cs.most {
		cs.shed++
		first := cs.waiting.Front()
		if first == nil {
			return false
		}
		longest := first.Value.(*connection)
		cs.remove(longest)
		_ = longest.Conn.Close()
	}
	cs.open++
	c.place = cs.waiting.PushBack(c)
	return true
}

// remove stops counting a connection; mu is held.
func (cs *Connections) remove(c *connection) {
	if c.gone {
		return
	}
	c.gone = true
	cs.open--
	if c.place != nil {
		cs.waiting.Remove(c.place)
		c.place = nil
	}
}

func (cs *Connections) refuse(nc net.Conn) {
	select {
	case cs.refused <- struct{}{}:
	default:
		_ = nc.Close()
		return
	}
	go func() {
		defer func() { _ = nc.Close(); <-cs.refused }()
		_ = nc.SetDeadline(time.Now().Add(refusalTimeout))
		_, _ = io.WriteString(nc, turnedAway)
		if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			// Closing with something unread would take the answer back.
			_, _ = io.Copy(io.Discard, io.LimitReader(nc, maxHeaderBytes))
		}
	}()
}

// connection is counted until it is closed.
type connection struct {
	net.Conn
	of    *Connections
	place *list.Element // among those that wait; nil while its request is answered
	gone  bool
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	c.of.remove(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// asked notes that a request was read whole. A nil connection is nobody's concern.
func (c *connection) asked() {
	if c == nil {
		return
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.place != nil {
		c.of.waiting.Remove(c.place)
		c.place = nil
	}
}

// answered notes that the client's turn has come again.
func (c *connection) answered() {
	if c == nil {
		return
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.place == nil && !c.gone {
		c.place = c.of.waiting.PushBack(c)
	}
}

type connectionKey struct{}

// remember has requests know their connection.
func remember(ctx context.Context, nc net.Conn) context.Context {
	if c, ok := nc.(*connection); ok {
		return context.WithValue(ctx, connectionKey{}, c)
	}
	return ctx
}

func connectionOf(r *http.Request) *connection {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	return c
}
