//go:build containers

package compose_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// project is a compose file's containers, under a name of the tests' own.
type project struct {
	t     testing.TB
	name  string
	file  string
	flags []string
}

// root is the checkout, from this directory.
const root = "../.."

// healthyWithin is what is promised of `up -d` once the image is built.
const healthyWithin = 60 * time.Second

// patience bounds each wait for something that was killed; a busy machine may need it.
const patience = 2 * time.Minute

// newProject prepares a project without containers or data, and leaves none.
func newProject(t testing.TB, name, file string, flags ...string) *project {
	t.Helper()
	p := &project{t: t, name: name, file: file, flags: flags}
	p.compose("down", "-v", "--remove-orphans", "-t", "5")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the containers' last words:\n%s", p.try(context.Background(), "logs", "--no-color", "--tail", "25"))
		}
		p.try(context.Background(), "down", "-v", "--remove-orphans", "-t", "5")
	})
	return p
}

// command is compose as it is installed: the old name first, as users type it.
func (p *project) command(ctx context.Context, args ...string) *exec.Cmd {
	name, all := "docker-compose", append(append([]string{"-p", p.name, "-f", p.file}, p.flags...), args...)
	if _, err := exec.LookPath(name); err != nil {
		name, all = "docker", append([]string{"compose"}, all...)
	}
	c := exec.CommandContext(ctx, name, all...)
	c.Dir = root
	return c
}

// compose runs a command of compose, which has to succeed, and returns what it printed.
func (p *project) compose(args ...string) string {
	p.t.Helper()
	return run(p.t, p.command(p.t.Context(), args...))
}

func (p *project) try(ctx context.Context, args ...string) string {
	out, _ := p.command(ctx, args...).CombinedOutput()
	return string(out)
}

// up starts the project as a user does, and returns how long it took until every
// container was healthy and walletd had met every component: it is ready before.
func (p *project) up(within time.Duration) time.Duration {
	p.t.Helper()
	began := time.Now()
	p.compose("up", "-d")
	p.healthy(within - time.Since(began))
	eventually(p.t, within-time.Since(began), "every component is met", func() error {
		for range 3 { // HAProxy asks each replica in turn
			if now := ready(p.t); strings.Contains(now, `"down"`) {
				return errors.New(now)
			}
		}
		return nil
	})
	return time.Since(began)
}

// healthy waits for every container.
func (p *project) healthy(within time.Duration) {
	p.t.Helper()
	ids := strings.Fields(p.compose("ps", "-q"))
	eventually(p.t, within, "every container is healthy", func() error {
		states := docker(p.t, append([]string{"inspect", "-f", "{{.Name}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}healthy{{end}}"}, ids...)...)
		for line := range strings.Lines(states) {
			if !strings.HasSuffix(strings.TrimSpace(line), " running healthy") {
				return errors.New(states)
			}
		}
		return nil
	})
}

// container returns the id of a service's container.
func (p *project) container(service string) string {
	p.t.Helper()
	return strings.TrimSpace(p.compose("ps", "-q", service))
}

// kill ends a service's process as a crash does, so that its restart policy
// applies, and returns when.
func (p *project) kill(service string) time.Time {
	p.t.Helper()
	pid, err := strconv.Atoi(p.inspect(service, "{{.State.Pid}}"))
	if err != nil || pid < 2 {
		p.t.Fatalf("%s has no process: %d, %v", service, pid, err)
	}
	at := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); errors.Is(err, syscall.EPERM) {
		run(p.t, exec.CommandContext(p.t.Context(), "sudo", "-n", "kill", "-9", strconv.Itoa(pid)))
	} else if err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, patience, service+" runs again", func() error {
		if now := p.inspect(service, "{{.State.Running}} {{.State.Pid}}"); !strings.HasPrefix(now, "true ") || now == "true "+strconv.Itoa(pid) {
			return errors.New(now)
		}
		return nil
	})
	return at
}

// ready is what /readyz says.
func ready(t testing.TB) string {
	t.Helper()
	body := open(t, "http://127.0.0.1:8080/readyz")
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (p *project) inspect(service, format string) string {
	p.t.Helper()
	return strings.TrimSpace(docker(p.t, "inspect", "-f", format, p.container(service)))
}

func docker(t testing.TB, args ...string) string {
	t.Helper()
	return run(t, exec.CommandContext(t.Context(), "docker", args...))
}

// run runs a command, which has to succeed, and returns its standard output.
func run(t testing.TB, c *exec.Cmd) string {
	t.Helper()
	var errs bytes.Buffer
	c.Stderr = &errs
	if c.Env == nil {
		c.Env = os.Environ()
	}
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(c.Args, " "), err, out, tail(errs.String()))
	}
	return string(out)
}

func tail(text string) string {
	lines := slices.Collect(strings.Lines(text))
	return strings.Join(lines[max(0, len(lines)-30):], "")
}

// eventually looks until there is no error.
func eventually(t testing.TB, within time.Duration, what string, look func() error) {
	t.Helper()
	deadline, tick := time.NewTimer(within), time.NewTicker(200*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for {
		err := look()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("not within %v: %s\n%v", within.Round(time.Second), what, err)
		case <-tick.C:
		}
	}
}
