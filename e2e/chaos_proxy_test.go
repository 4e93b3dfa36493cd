//go:build chaos

package e2e_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// proxy stands between the replicas and one component.
type proxy struct {
	*toxiproxy.Proxy
	passed *atomic.Int64 // bytes of the component's answers
}

var (
	proxying = sync.OnceValue(func() *toxiproxy.ApiServer {
		toxics.Register("meter", new(meter))
		zerolog.SetGlobalLevel(zerolog.Disabled) // a toxic's own logger does not ask
		return toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	})
	meters sync.Map // by the proxy's name
)

// meter is a toxic that does no harm: it counts, so that a test can say that a
// proxy was in use.
type meter struct{ Proxy string }

// Pipe implements toxics.Toxic.
func (m *meter) Pipe(stub *toxics.ToxicStub) {
	count, _ := meters.LoadOrStore(m.Proxy, new(atomic.Int64))
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			count.(*atomic.Int64).Add(int64(len(c.Data)))
			stub.Output <- c
		}
	}
}

// newProxy listens on a port of its own; upstream may be "" until known.
func newProxy(t testing.TB, name, upstream string) *proxy {
	t.Helper()
	p := &proxy{Proxy: toxiproxy.NewProxy(proxying(), name, "127.0.0.1:0", upstream)}
	count, _ := meters.LoadOrStore(name, new(atomic.Int64))
	p.passed = count.(*atomic.Int64)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	p.add(t, fmt.Sprintf(`{"name":"meter","type":"meter","stream":"downstream","attributes":{"Proxy":%q}}`, name))
	return p
}

func (p *proxy) add(t testing.TB, toxic string) {
	t.Helper()
	if _, err := p.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		t.Fatal(err)
	}
}

// both adds a toxic to either direction.
func (p *proxy) both(t testing.TB, kind, attributes string) {
	t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		p.add(t, fmt.Sprintf(`{"name":%q,"type":%q,"stream":%q,"attributes":%s}`, kind+"-"+stream, kind, stream, attributes))
	}
}

// remove takes a toxic of both away again.
func (p *proxy) remove(t testing.TB, kind string) {
	t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		if p.Toxics.GetToxic(kind+"-"+stream) == nil {
			continue
		}
		if err := p.Toxics.RemoveToxic(t.Context(), kind+"-"+stream); err != nil {
			t.Error(err)
		}
	}
}

// cut closes all connections and refuses new ones, until mend.
func (p *proxy) cut() { p.Stop() }

func (p *proxy) mend(t testing.TB) {
	t.Helper()
	if err := p.Start(); err != nil && !errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
		t.Error(err)
	}
}

// moved is how many bytes of answers pass in d.
func (p *proxy) moved(d time.Duration) int64 {
	before := p.passed.Load()
	elapse(d)
	return p.passed.Load() - before
}
