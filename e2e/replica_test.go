package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// replica is one walletd as a child process. It can be killed and started again;
// its addresses stay the same.
type replica struct {
	name string
	t    testing.TB
	args []string
	env  map[string]string
	http *http.Client

	mu     sync.Mutex
	lives  []*life
	killed bool // ever
}

// life is one process of a replica.
type life struct {
	process   *os.Process
	serves    chan struct{} // closed when it listens
	addresses struct{ HTTP, Pprof, Metrics string }
	ended     chan struct{}
	exit      error
	log       *bytes.Buffer // guarded by logMu
	logMu     sync.Mutex
}

// newReplica prepares a replica; start starts it. At the test's end it is stopped
// in order and its log is looked through.
func newReplica(t testing.TB, name string, env map[string]string, args ...string) *replica {
	t.Helper()
	if len(args) == 0 {
		args = []string{"serve"}
	}
	args = append([]string{walletd(t), "--config", "../config.env"}, args...)
	full := map[string]string{
		"WALLETD_HTTP_ADDRESS": "127.0.0.1:0", "WALLETD_PPROF_ADDRESS": "127.0.0.1:0", "WALLETD_METRICS_ADDRESS": "127.0.0.1:0",
		"WALLETD_LOG_FORMAT": "json",
		"GORACE":             "halt_on_error=1",
	}
	maps.Copy(full, env)
	r := &replica{name: name, t: t, args: args, env: full, http: newHTTPClient()}
	t.Cleanup(r.finish)
	return r
}

func newHTTPClient() *http.Client {
	return &http.Client{Timeout: 45 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: time.Minute}}
}

// start starts the process and returns when it listens.
func (r *replica) start() {
	r.t.Helper()
	l := r.launch()
	select {
	case <-l.serves:
	case <-l.ended:
		r.t.Fatalf("%s has ended: %v\n%s", r.name, l.exit, l.output())
	case <-time.After(2 * patience):
		r.t.Fatalf("%s does not start\n%s", r.name, l.output())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a := l.addresses
	r.env["WALLETD_HTTP_ADDRESS"], r.env["WALLETD_PPROF_ADDRESS"], r.env["WALLETD_METRICS_ADDRESS"] = a.HTTP, a.Pprof, a.Metrics
}

// launch starts the process. The kernel kills it if this one dies.
func (r *replica) launch() *life {
	r.t.Helper()
	cmd := exec.Command(r.args[0], r.args[1:]...)
	cmd.Env = os.Environ()
	for k, v := range r.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	out, err := cmd.StderrPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	l := &life{serves: make(chan struct{}), ended: make(chan struct{}), log: &bytes.Buffer{}}
	cmd.Stdout = writer(l.write)
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel's signal comes when this thread ends
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		l.process = cmd.Process
		started <- err
		if err != nil {
			return
		}
		l.read(out)
		l.exit = cmd.Wait()
		close(l.ended)
	}()
	if err := <-started; err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lives = append(r.lives, l)
	return l
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

func (l *life) write(b []byte) {
	l.logMu.Lock()
	defer l.logMu.Unlock()
	l.log.Write(b)
}

func (l *life) output() string {
	l.logMu.Lock()
	defer l.logMu.Unlock()
	return l.log.String()
}

func (l *life) read(out io.Reader) {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		l.write(line)
		var entry struct{ Msg, HTTP, Pprof, Metrics string }
		if bytes.Contains(line, []byte(`"walletd serves"`)) && json.Unmarshal(line, &entry) == nil {
			l.addresses.HTTP, l.addresses.Pprof, l.addresses.Metrics = entry.HTTP, entry.Pprof, entry.Metrics
			close(l.serves)
		}
		if err != nil {
			return
		}
	}
}

func (r *replica) current() *life {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lives) == 0 {
		return nil
	}
	return r.lives[len(r.lives)-1]
}

// incarnation names the replica's present process.
func (r *replica) incarnation() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("%s/%d", r.name, len(r.lives))
}

func (r *replica) url(path string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return "http://" + r.env["WALLETD_HTTP_ADDRESS"] + path
}

// kill ends the process as a crash would.
func (r *replica) kill() {
	l := r.current()
	_ = l.process.Kill()
	<-l.ended
	r.killed = true
	r.http.CloseIdleConnections()
}

// terminate asks the process to stop and waits until it has, in order. One that
// takes much longer than its configuration allows is made to show what it does.
func (r *replica) terminate() {
	r.t.Helper()
	l := r.current()
	began := time.Now()
	_ = l.process.Signal(syscall.SIGTERM)
	select {
	case <-l.ended:
		if l.exit != nil {
			r.t.Errorf("%s stopped with %v\n%s", r.name, l.exit, tail(l.output()))
		}
	case <-time.After(25 * time.Second):
		_ = l.process.Signal(syscall.SIGQUIT)
		<-l.ended
		r.t.Errorf("%s has not stopped after %s:\n%s", r.name, time.Since(began), l.output())
	}
	r.http.CloseIdleConnections()
}

// dump returns the process's goroutines, for a test that waits in vain.
func (r *replica) dump() string {
	res, err := r.http.Get("http://" + r.env["WALLETD_PPROF_ADDRESS"] + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

func (r *replica) finish() {
	l := r.current()
	if l == nil {
		return
	}
	select {
	case <-l.ended:
	default:
		r.terminate()
	}
	text := ""
	for _, l := range r.lives {
		text += l.output()
	}
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if i := strings.Index(text, bad); i >= 0 && !strings.Contains(text, "SIGQUIT") {
			r.t.Errorf("%s: %s\n%s", r.name, bad, text[max(0, i-200):min(len(text), i+6000)])
			break
		}
	}
	if dir := os.Getenv("E2E_LOGS"); dir != "" {
		name := strings.ReplaceAll(r.t.Name(), "/", "-") + "-" + r.name + ".log"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			r.t.Error(err)
		}
	}
	if r.t.Failed() {
		r.t.Logf("the last lines of %s:\n%s", r.name, tail(text))
	}
}

func tail(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// ready waits until /readyz says that all components are up.
func (r *replica) ready() {
	r.t.Helper()
	eventually(r.t, r.name+" is ready with all components up", func() bool {
		h, err := r.health()
		return err == nil && h.up("postgres") && h.up("kafka") && h.up("redis")
	})
}

// health is what /readyz answers.
type health struct {
	code       int
	Status     string
	Components []struct{ Name, Status, Detail string }
}

func (h health) up(name string) bool { return h.of(name) == "up" }

func (h health) of(name string) string {
	for _, c := range h.Components {
		if c.Name == name {
			return c.Status
		}
	}
	return ""
}

func (r *replica) health() (health, error) {
	res, err := r.http.Get(r.url("/readyz"))
	if err != nil {
		return health{}, err
	}
	defer res.Body.Close()
	h := health{code: res.StatusCode}
	return h, json.NewDecoder(res.Body).Decode(&h)
}

// metric returns the sum of a metric's samples; the name may have labels.
func (r *replica) metric(name string) float64 {
	r.t.Helper()
	res, err := r.http.Get("http://" + r.env["WALLETD_METRICS_ADDRESS"] + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	sum, lines := 0.0, bufio.NewScanner(res.Body)
	for lines.Scan() {
		text := lines.Text()
		i := strings.LastIndexByte(text, ' ')
		if i < 0 || !strings.HasPrefix(text, name) || text[0] == '#' {
			continue
		}
		if rest := strings.TrimPrefix(text[:i], name); rest != "" && rest[0] != '{' {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(text[i+1:], &v); err == nil {
			sum += v
		}
	}
	return sum
}

// exitCode is the status that a process ended with.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}
