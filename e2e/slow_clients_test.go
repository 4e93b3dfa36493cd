package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// connectionBound is lower where the race detector makes each connection many times
// as dear: what is proved is that there is a bound, not how much a machine bears.
var connectionBound = func() int {
	if raced() == "-race=true" {
		return 60
	}
	return 1000
}()

// slowClients are clients that hold a connection and give nothing for it; each ends when it is
// closed on.
func slowClients(id uuid.UUID) map[string]func(ctx context.Context, c net.Conn) {
	send := func(text string) func(context.Context, net.Conn) {
		return func(_ context.Context, c net.Conn) {
			_, _ = io.WriteString(c, text)
			_, _ = io.Copy(io.Discard, c)
		}
	}
	trickle := func(head, piece string) func(context.Context, net.Conn) {
		return func(ctx context.Context, c net.Conn) {
			_, err := io.WriteString(c, head)
			for ; err == nil && ctx.Err() == nil; _, err = io.WriteString(c, piece) {
				elapse(100 * time.Millisecond)
			}
			_, _ = io.Copy(io.Discard, c)
		}
	}
	bulk := "POST " + walletPath(id) + "/operations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n["
	lists := strings.Repeat("GET "+walletPath(id)+"/operations?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n", 50)
	return map[string]func(context.Context, net.Conn){
		"nothing sent":      send(""),
		"half a header":     send("POST /api/v1/wallet HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 10_000)),
		"a trickled header": trickle("POST /api/v1/wallet HTTP/1.1\r\nHost: x\r\n", "X-Y: z\r\n"),
		"a trickled body":   trickle(bulk, " "),
		"half a long body":  send(bulk + strings.Repeat(" ", 400_000)),
		"kept alive":        send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
		"answers not read": func(ctx context.Context, c net.Conn) {
			_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
			_, _ = io.WriteString(c, lists)
			for ctx.Err() == nil { // until it is closed on
				elapse(100 * time.Millisecond)
				if _, err := io.WriteString(c, "\r\n"); err != nil {
					return
				}
			}
		},
	}
}

// held says how long walletd keeps each kind of slow client, when nothing presses.
func (r *replica) held(t *testing.T, id uuid.UUID) {
	var all sync.WaitGroup
	for name, be := range slowClients(id) {
		if name == "kept alive" {
			continue // two minutes
		}
		all.Go(func() {
			c, err := net.Dial("tcp", strings.TrimPrefix(r.url(""), "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			began := time.Now()
			be(ctx, c)
			took := time.Since(began)
			t.Logf("%s: closed after %s", name, took.Round(100*time.Millisecond))
			if took > 15*time.Second {
				t.Errorf("%s held its connection for %s", name, took)
			}
		})
	}
	all.Wait()
}

// attack has n slow clients of all kinds, which come again when they are closed on.
func (r *replica) attack(ctx context.Context, id uuid.UUID, n int) *sync.WaitGroup {
	kinds := slowClients(id)
	var names []string
	for name := range kinds {
		names = append(names, name)
	}
	var all sync.WaitGroup
	for i := range n {
		be := kinds[names[i%len(names)]]
		all.Go(func() {
			var dialer net.Dialer
			for ctx.Err() == nil {
				c, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(r.url(""), "http://"))
				if err != nil {
					elapse(50 * time.Millisecond)
					continue
				}
				stop := context.AfterFunc(ctx, func() { c.Close() })
				be(ctx, c)
				stop()
				c.Close()
				elapse(time.Second)
			}
		})
	}
	return &all
}

func TestSlowClients(t *testing.T) {
	s := startStack(t, 1, fmt.Sprint("WALLETD_CONNECTIONS=", connectionBound), fmt.Sprint("WALLETD_REQUESTS=", 10_000))
	r, id := s.replicas[0], s.wallet()
	for range 2 {
		item := fmt.Sprintf(`{"operationType":%q,"amount":1}`, deposit)
		body := "[" + strings.Repeat(item+",", 499) + item + "]"
		expect(t, r.do(http.MethodPost, walletPath(id)+"/operations", []byte(body), "Prefer", "wait=30"), http.StatusOK)
	}
	r.held(t, id)

	ctx, cancel := context.WithCancel(t.Context())
	attackers := r.attack(ctx, id, 2*connectionBound)
	eventually(t, "the attack fills all connections", func() bool { return r.metric("walletd_http_connections") >= float64(connectionBound) })
	began, took, most := time.Now(), []time.Duration{}, 0.0
	for n := 0; time.Since(began) < 5*time.Second; n++ {
		r.http.CloseIdleConnections() // each on a connection of its own
		sent := time.Now()
		expect(t, r.submit(id, deposit, 1, "Prefer", "wait=10"), http.StatusOK)
		took = append(took, time.Since(sent))
		if n%10 == 0 {
			most = max(most, r.metric("walletd_http_connections"))
		}
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.current().process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	check := exec.Command(r.args[0], "healthcheck", "--config", "../config.env")
	check.Env = append(os.Environ(), "WALLETD_HTTP_ADDRESS="+strings.TrimPrefix(r.url(""), "http://"))
	if output, err := check.CombinedOutput(); err != nil {
		t.Errorf("healthcheck: %v: %s", err, output)
	}
	r.tooLarge(t, id)
	cancel()
	attackers.Wait()
	slices.Sort(took)
	peak, bound := r.memory(), memoryBound(connectionBound, 10_000)
	t.Logf("%d requests beside %d slow clients: p50 %s, p99 %s; %.0f connections at most, %.0f closed for others, %d open files, %d MiB at most of %d",
		len(took), 2*connectionBound, took[len(took)/2], took[(len(took)*99-1)/100], most, r.metric("walletd_http_connections_shed_total"), len(fds), peak>>20, bound>>20)
	if most > float64(connectionBound) || len(fds) > connectionBound+200 {
		t.Errorf("%.0f connections, %d open files; the bound is %d", most, len(fds), connectionBound)
	}
	if peak > bound {
		t.Errorf("memory reached %d MiB, the bound is %d", peak>>20, bound>>20)
	}
	eventually(t, "the attack's connections are gone", func() bool { return r.metric("walletd_http_connections") < 10 })
}

// tooLarge sends what is refused before it is read to its end.
func (r *replica) tooLarge(t *testing.T, id uuid.UUID) {
	const endless = 64 << 20
	for text, want := range map[string]string{
		"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long:": "431",
		fmt.Sprintf("POST /api/v1/wallet HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", endless):                "413",
		fmt.Sprintf("POST %s/operations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", walletPath(id), endless): "413",
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url(""), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		written := make(chan int64, 1)
		go func() {
			n, _ := io.Copy(c, io.MultiReader(strings.NewReader(text), io.LimitReader(xs{}, endless)))
			written <- n
		}()
		line, err := bufio.NewReader(c).ReadString('\n')
		c.Close()
		if n := <-written; !strings.Contains(line, want) || n >= endless {
			t.Errorf("%.40q was answered %q after %d bytes, %v", text, line, n, err)
		}
	}
}

// xs is an endless text.
type xs struct{}

func (xs) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}
