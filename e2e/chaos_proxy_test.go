//go:build chaos

package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

// proxy stands between the replicas and one component.
type proxy struct{ *toxiproxy.Proxy }

// proxiesLive is open as long as this process lives.
var proxiesLive io.Closer

// proxies is the address of the process with all proxies, which ends with this one.
var proxies = sync.OnceValues(func() (string, error) {
	if err := build(world.dir, "-race=false", "./proxies"); err != nil {
		return "", err
	}
	cmd := exec.Command(filepath.Join(world.dir, "proxies"))
	var err error
	if proxiesLive, err = cmd.StdinPipe(); err != nil {
		return "", err
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return "", err
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(addr), err
})

// newProxy listens on a port of its own; nothing need listen at upstream yet.
func newProxy(t testing.TB, name, upstream string) *proxy {
	t.Helper()
	return newProxyAt(t, name, "127.0.0.1:0", upstream)
}

func newProxyAt(t testing.TB, name, listen, upstream string) *proxy {
	t.Helper()
	p, err := toxiproxy.NewClient(must[string](t)(proxies())).CreateProxy(name, listen, upstream)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Delete() })
	if _, err := p.AddToxic("meter", "meter", "downstream", 1, toxiproxy.Attributes{"Proxy": name}); err != nil {
		t.Fatal(err)
	}
	return &proxy{p}
}

// both adds a toxic to either direction.
func (p *proxy) both(t testing.TB, kind string, attributes toxiproxy.Attributes) {
	t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		if _, err := p.AddToxic(kind+"-"+stream, kind, stream, 1, attributes); err != nil {
			t.Error(err)
		}
	}
}

// remove takes a toxic of both away again.
func (p *proxy) remove(t testing.TB, kind string) {
	t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		if err := p.RemoveToxic(kind + "-" + stream); err != nil {
			t.Error(err)
		}
	}
}

// cut closes all connections and refuses new ones, until mend.
func (p *proxy) cut(t testing.TB) {
	if err := p.Disable(); err != nil {
		t.Error(err)
	}
}

func (p *proxy) mend(t testing.TB) {
	if err := p.Enable(); err != nil {
		t.Error(err)
	}
}

// moved is how many bytes of answers pass in d.
func (p *proxy) moved(d time.Duration) int64 {
	before := p.passed()
	elapse(d)
	return p.passed() - before
}

// passed is how many bytes of answers have come from the component.
func (p *proxy) passed() (n int64) {
	addr, _ := proxies()
	res, err := http.Get("http://" + addr + "/passed/" + p.Name)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	_, _ = fmt.Sscan(string(text), &n)
	return n
}
