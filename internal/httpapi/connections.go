package httpapi

import (
	"container/list"
	"io"
	"net"
	"sync"
	"time"
)

// Connections is a listener with a bound on its open connections, so that file
// descriptors and memory do not run out. Beyond the bound the connection goes that has
// waited for its client longest: to say something, to end its request, to ask again, or
// for answerGrace to take its answer. Those whose request was read whole stay until it
// is answered; if all are such, the newcomer is answered 429 and closed.
type Connections struct {
	net.Listener
	most int

	mu      sync.Mutex
	open    int
	waiting list.List // *connection, who has waited longest first
	shed    int64
	refused chan struct{} // a place for each newcomer that is being refused
}

// answerGrace is how long an answer may take on its way to the client before that counts
// as waiting for it.
const answerGrace = time.Second

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
		longest := cs.longest()
		if longest == nil {
			return false
		}
		cs.remove(longest)
		_ = longest.Conn.Close()
	}
	cs.open++
	c.place = cs.waiting.PushBack(c)
	return true
}

// longest is the connection that has waited for its client longest, nil if there is
// none; mu is held.
func (cs *Connections) longest() *connection {
	for e := cs.waiting.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*connection); c.answering.IsZero() || time.Since(c.answering) > answerGrace {
			return c
		}
	}
	return nil
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
