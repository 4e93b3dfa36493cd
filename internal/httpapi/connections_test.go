package httpapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/wallet"
)

const patience = 10 * time.Second

// door is a server on a bounded listener whose handler waits until it is told.
type door struct {
	*Connections
	t       *testing.T
	entered chan struct{}
	leave   chan struct{}
	counted *countedReads
}

func newDoor(t *testing.T, most int) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &countedReads{Listener: l}
	d := &door{Connections: BoundConnections(counted, most), t: t, counted: counted, entered: make(chan struct{}, 100), leave: make(chan struct{})}
	s := &server{Config: Config{Log: slog.New(slog.DiscardHandler)}, metrics: newRigMetrics(t)}
	srv := NewServer("", s.observed("", "/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			if _, err := s.readBody(r, nil, 1000); err != nil {
				return
			}
		}
		d.entered <- struct{}{}
		<-d.leave
		if r.Context().Err() == nil {
			_, _ = io.WriteString(w, "done")
		}
	}))
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(d.Connections) }()
	t.Cleanup(func() { srv.Close(); <-served })
	return d
}

func (d *door) dial(text string) *bufio.ReadWriter {
	d.t.Helper()
	c, err := net.Dial("tcp", d.Addr().String())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		d.t.Fatal(err)
	}
	return bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c))
}

func (d *door) awaitOpen(want int) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		open, _ := d.Open()
		if open == want {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%d connections are open, want %d", open, want)
		}
		<-time.After(time.Millisecond)
	}
}

// awaitIdle waits until a connection waits for its client: that has read its answer
// before the server knows that it is sent.
func (d *door) awaitIdle() {
	d.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		d.mu.Lock()
		idle := d.longest() != nil
		d.mu.Unlock()
		if idle {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatal("no connection is idle")
		}
		<-time.After(time.Millisecond)
	}
}

const whole = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func TestBeyondTheBoundThatConnectionGoesWhoseClientHasLetItWaitLongest(t *testing.T) {
	for name, slow := range map[string]string{
		"says nothing":   "",
		"half a header":  "GET / HTTP/1.1\r\nHos",
		"half a body":    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345",
		"asks not again": whole,
	} {
		t.Run(name, func(t *testing.T) {
			d := newDoor(t, 3)
			lazy := d.dial(slow)
			if slow == whole {
				<-d.entered
				d.leave <- struct{}{}
				if line, err := lazy.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
					t.Fatal(line, err)
				}
				_, _ = io.ReadAll(io.LimitReader(lazy, int64(lazy.Reader.Buffered())))
				d.awaitIdle()
			}
			d.awaitOpen(1)
			busy := d.dial(whole)
			<-d.entered
			d.dial("")
			d.awaitOpen(3)
			d.dial("") // one too many
			if _, err := io.ReadAll(lazy); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("the one that waited longest was not closed: %v", err)
			}
			d.awaitOpen(3)
			close(d.leave)
			if line, err := busy.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
				t.Errorf("a request under way was cut off: %q, %v", line, err)
			}
			if _, shed := d.Open(); shed != 1 {
				t.Errorf("%d connections were closed for others", shed)
			}
		})
	}
}

func TestWhereAllWaitForAnAnswerANewcomerIsTold429(t *testing.T) {
	d := newDoor(t, 2)
	for range 2 {
		d.dial(whole)
		<-d.entered
	}
	res, err := http.ReadResponse(d.dial(whole).Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 429 || res.Header.Get("Retry-After") != "1" || !strings.Contains(string(body), `"code":"overloaded"`) {
		t.Errorf("%d %s, %v", res.StatusCode, body, err)
	}
	close(d.leave)
	d.awaitOpen(2)
	d.dial("")
	d.awaitOpen(2)
}

// Of a request with a body net/http learns nothing by its watch, which is a read of one
// byte; all other reads are the client's.
func TestAClientThatHasSubmittedIsNotWatched(t *testing.T) {
	ours, client := net.Pipe()
	c := &connection{Conn: ours, of: BoundConnections(nil, 1)}
	go func() { _, _ = io.WriteString(client, "abcdef") }()
	read := func(most int, want string) {
		t.Helper()
		b := make([]byte, most)
		if n, err := c.Read(b); err != nil || string(b[:n]) != want {
			t.Fatalf("%q, %v, want %q", b[:n], err, want)
		}
	}
	read(1, "a")
	c.hold()
	read(1, "b")
	c.keep()
	read(1, "")
	read(2, "cd")
	c.release()
	read(1, "e")
}

// net/http ends an answer to what it has not read by closing its own half, and waits for the
// client: closing at once could take the answer with it.
func TestAnAnswerToWhatIsNotReadArrives(t *testing.T) {
	d := newDoor(t, 3)
	client := d.dial("GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 60<<10) + "\r\n\r\n")
	began := time.Now()
	answer, err := io.ReadAll(client)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") {
		t.Errorf("%q, %v", answer, err)
	}
	if took := time.Since(began); took > 400*time.Millisecond { // net/http closes after 500 ms in any case
		t.Errorf("it ended after %s", took)
	}
}

// A client that reads only, and has said all that it has to, closes its half.
func TestAClientThatHasClosedItsHalfGetsWhatItReads(t *testing.T) {
	d := newDoor(t, 3)
	c, err := net.Dial("tcp", d.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, err = io.WriteString(c, whole)
	if err := errors.Join(err, c.(*net.TCPConn).CloseWrite()); err != nil {
		t.Fatal(err)
	}
	<-d.entered
	runtime.Gosched() // the watch would see it now
	d.leave <- struct{}{}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 || string(text) != "done" {
		t.Errorf("%d %q, %v", res.StatusCode, text, err)
	}
}

// countedReads is a listener that counts what is read of its connections.
type countedReads struct {
	net.Listener
	reads atomic.Int64
}

type countedConn struct {
	*net.TCPConn
	of *countedReads
}

func (l *countedReads) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countedConn{c.(*net.TCPConn), l}, nil
}

func (c countedConn) Read(b []byte) (int, error) {
	c.of.reads.Add(1)
	return c.TCPConn.Read(b)
}

// That the watch is a read of one byte is net/http's own affair. If that changes this
// fails: each request would be read twice.
func TestARequestThatIsSubmittedIsReadOnce(t *testing.T) {
	const requests = 40
	d := newDoor(t, 3)
	client := d.dial("")
	for range requests {
		_, _ = io.WriteString(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
		if err := client.Flush(); err != nil {
			t.Fatal(err)
		}
		<-d.entered
		runtime.Gosched() // the watch has its turn before the answer, as it has where outcomes are waited for
		d.leave <- struct{}{}
		res, err := http.ReadResponse(client.Reader, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if reads := d.counted.reads.Load(); reads > requests*3/2 { // the watch may be faster than what says that it is none
		t.Errorf("%d reads of %d requests", reads, requests)
	}
}

// Whoever comes while all others are busy finds connections only between their answer
// and the next request: nobody loses an answer, and nothing is done for who is gone.
func TestNoAnswerIsLostAndNothingIsDoneForWhoIsGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cs := BoundConnections(l, 8)
	var done sync.Map // by request: true if its connection had gone before
	s := &server{Config: Config{Log: slog.New(slog.DiscardHandler)}, metrics: newRigMetrics(t)}
	srv := NewServer("", s.observed("", "/", func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.readBody(r, nil, 1000); err != nil {
			return
		}
		cs.mu.Lock()
		gone := connectionOf(r).gone
		cs.mu.Unlock()
		<-time.After(2 * time.Millisecond) // the ledger's work, in which the others come
		done.Store(r.Header.Get("X-Id"), gone)
		writeJSON(w, http.StatusOK, jsonType, func(b []byte) []byte { return append(b, `{"done":true}`...) })
	}))
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(cs) }()
	var n, answered, lost, late atomic.Int64
	ask := func() {
		id := fmt.Sprint(n.Add(1))
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nX-Id: "+id+"\r\nContent-Length: 2\r\n\r\n{}")
		if res, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
			res.Body.Close()
			answered.Add(1)
		} else if gone, was := done.Load(id); was && !gone.(bool) {
			lost.Add(1)
		}
	}
	var clients sync.WaitGroup
	end := time.Now().Add(patience)
	for range 24 {
		clients.Go(func() {
			for began := time.Now(); (time.Since(began) < 2*time.Second || answered.Load() < 100) && time.Now().Before(end); {
				ask()
			}
		})
	}
	clients.Wait()
	srv.Close()
	<-served
	done.Range(func(_, gone any) bool {
		if gone.(bool) {
			late.Add(1)
		}
		return true
	})
	if answered.Load() < 100 || lost.Load() > 0 || late.Load() > 0 {
		t.Errorf("%d answered, %d answers lost, %d done for who was gone", answered.Load(), lost.Load(), late.Load())
	}
}

func TestAClosedConnectionMakesRoom(t *testing.T) {
	d := newDoor(t, 2)
	close(d.leave)
	for i := range 10 {
		res, err := http.Post("http://"+d.Addr().String(), "text/plain", strings.NewReader(fmt.Sprint(i)))
		if err != nil || res.StatusCode != 200 {
			t.Fatal(res, err)
		}
		res.Body.Close()
		http.DefaultClient.CloseIdleConnections()
		d.awaitOpen(0)
	}
	if _, shed := d.Open(); shed != 0 {
		t.Errorf("%d connections were closed for others", shed)
	}
}

// A body that is announced and not sent holds next to nothing, and what all long ones
// may hold is bounded; short ones are read all the same.
func TestLongBodiesShareTheirMemory(t *testing.T) {
	s := &server{}
	held := func(n int) (*io.PipeWriter, chan error) {
		r, w := io.Pipe()
		req := &http.Request{Body: r, ContentLength: 1 << 20}
		ended := make(chan error, 1)
		go func() {
			_, err := s.readBody(req, nil, 1<<20)
			r.Close()
			ended <- err
		}()
		_, _ = w.Write(make([]byte, n)) // fails once it is refused
		return w, ended
	}
	w, ended := held(100)
	if n := s.memory.held.Load(); n != 0 {
		t.Errorf("100 bytes of a body that was announced to be long hold %d", n)
	}
	w.Close()
	<-ended
	var all []*io.PipeWriter
	var ends []chan error
	for s.memory.held.Load() < SharedBytes-1<<20 {
		w, ended := held(600_000)
		all, ends = append(all, w), append(ends, ended)
	}
	if len(all) < SharedBytes/(3<<20) {
		t.Errorf("only %d bodies", len(all))
	}
	refused := func(n int) error {
		_, err := s.readBody(&http.Request{Body: io.NopCloser(strings.NewReader(strings.Repeat("x", n))), ContentLength: int64(n)}, nil, 1<<20)
		return err
	}
	for range 3 {
		w, ended := held(300_000)
		all, ends = append(all, w), append(ends, ended)
	}
	if err := refused(1 << 19); err == nil || !strings.Contains(err.Error(), string(wallet.CodeOverloaded)) {
		t.Errorf("a long body more: %v", err)
	}
	if err := refused(1500); err != nil {
		t.Errorf("a short body: %v", err)
	}
	for i, w := range all {
		w.Close()
		<-ends[i]
	}
	if n := s.memory.held.Load(); n != 0 {
		t.Errorf("%d bytes are held by nobody", n)
	}
}

func newRigMetrics(t *testing.T) *metrics {
	t.Helper()
	m, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return m
}
