// Command proxies is toxiproxy with a toxic that counts, for e2e's faults: in a process
// of its own, so that a test that is busy with its load does not slow down what
// walletd says to its components. It prints the address of its API and ends when its
// input does.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// meters counts the bytes that each proxy's meter has passed on.
var meters sync.Map

// meter is a toxic that does no harm.
type meter struct{ Proxy string }

// Pipe implements toxics.Toxic.
func (m *meter) Pipe(stub *toxics.ToxicStub) {
	count := passed(m.Proxy)
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			count.Add(int64(len(c.Data)))
			stub.Output <- c
		}
	}
}

func passed(proxy string) *atomic.Int64 {
	count, _ := meters.LoadOrStore(proxy, new(atomic.Int64))
	return count.(*atomic.Int64)
}

func main() {
	zerolog.SetGlobalLevel(zerolog.Disabled) // a toxic's own logger does not ask
	toxics.Register("meter", new(meter))
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /passed/{proxy}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, passed(r.PathValue("proxy")).Load())
	})
	mux.Handle("/", server.Routes())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	log.Fatal(http.Serve(listener, mux)) //nolint:gosec // loopback, for one test
}
