package httpapi

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// connection is counted until it is closed.
type connection struct {
	net.Conn
	of        *Connections
	place     *list.Element // among those that wait; nil while its request is being dealt with
	answering time.Time     // since when its answer has been on its way; zero if none is
	gone      bool

	unwatched atomic.Bool // nobody wants to know whether its client is still there
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	c.of.remove(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite says that nothing more comes: net/http does so behind an answer to a request that
// it has not read to its end, and only then closes, so that the answer is not lost.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Read implements net.Conn. While a request is handled net/http watches its client by reading
// one more byte, and cancels the request if that fails. A submitted operation is never
// cancelled, and a client may close its sending side and still wait for the answer. On an
// unwatched connection that read returns nothing, which ends the watch and saves a system
// call and a wake-up.
func (c *connection) Read(b []byte) (int, error) {
	if len(b) == 1 && c.unwatched.Load() {
		return 0, nil
	}
	return c.Conn.Read(b)
}

// Keep protects the connection of a request that was read whole until it is answered, and
// ends net/http's watch for a client that leaves: what was submitted is dealt with in any
// case. false: the connection was closed to make room for another, and nothing may be
// accepted.
func Keep(r *http.Request) bool { return connectionOf(r).keep() }

func (c *connection) keep() bool {
	if c != nil {
		c.unwatched.Store(true)
	}
	return c.hold()
}

// hold has the connection stay until the request is answered; false if it is gone. A request
// that came through no Connections has a nil one, which is never gone.
func (c *connection) hold() bool {
	if c == nil {
		return true
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.place != nil {
		c.of.waiting.Remove(c.place)
		c.place = nil
	}
	return !c.gone
}

// release notes that the request has its answer, which is still on its way.
func (c *connection) release() {
	if c != nil {
		c.unwatched.Store(false)
		c.waits(time.Now())
	}
}

// idle notes that the client has its answer, and its turn has come again.
func idle(nc net.Conn, state http.ConnState) {
	if c, ok := nc.(*connection); ok && state == http.StateIdle {
		c.waits(time.Time{})
	}
}

func (c *connection) waits(answering time.Time) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.answering = answering
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
