//go:build containers

package compose_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The session's wallet of the README.
const readmeWallet = "552987c2-b275-526e-b532-fd420f89a5fb"

func TestComposeOnOneMachine(t *testing.T) {
	p := newProject(t, "walletd-e2e", "docker-compose.yml")
	began := time.Now()
	p.compose("build")
	t.Logf("built in %.1f s", time.Since(began).Seconds())
	t.Logf("healthy %.1f s after docker-compose up -d", p.up(healthyWithin).Seconds())
	steps := []struct {
		name string
		run  func(*testing.T)
	}{
		{"image", p.image}, {"ports", p.ports}, {"README", readmeSession}, {"restarts", p.restarts},
		{"the only replica is killed", p.killTheApp}, {"1000 a second on one wallet for a minute", p.headline},
		{"backup and restore", p.backup}, {"down and up", p.downAndUp},
	}
	for _, s := range steps {
		if !t.Run(s.name, func(t *testing.T) { p.t = t; s.run(t) }) {
			break
		}
	}
	p.t = t
}

func (p *project) image(t *testing.T) {
	var image []struct {
		Size   int64
		Config struct {
			User        string
			Healthcheck struct{ Test []string }
		}
	}
	if err := json.Unmarshal([]byte(docker(t, "image", "inspect", "walletd")), &image); err != nil {
		t.Fatal(err)
	}
	i := image[0]
	t.Logf("the image has %.1f MB", float64(i.Size)/1e6)
	if i.Size >= 40e6 || i.Config.User == "" || i.Config.User == "root" || i.Config.User == "0" || len(i.Config.Healthcheck.Test) == 0 {
		t.Errorf("%+v", i)
	}
	if got := p.inspect("app", "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.RestartPolicy.Name}}"); got != "true [ALL] unless-stopped" {
		t.Errorf("the container is %s", got)
	}
	if out := docker(t, "run", "--rm", "--read-only", "--network", "none", "walletd", "version"); !strings.HasPrefix(out, "walletd ") {
		t.Errorf("version: %q", out)
	}
}

// ports: 8080 to the world, pprof and metrics to this machine only.
func (p *project) ports(t *testing.T) {
	for port, want := range map[string]string{"8080/tcp": "", "8081/tcp": "127.0.0.1", "8082/tcp": "127.0.0.1"} {
		if got := p.inspect("app", `{{range (index .HostConfig.PortBindings "`+port+`")}}{{.HostIp}}:{{.HostPort}}{{end}}`); strings.Replace(got, "0.0.0.0", "", 1) != want+":"+strings.TrimSuffix(port, "/tcp") {
			t.Errorf("port %s is published at %s", port, got)
		}
	}
	for _, service := range []string{"postgres", "kafka", "redis"} {
		if got := p.inspect(service, "{{.HostConfig.PortBindings}}"); got != "map[]" {
			t.Errorf("%s is published: %s", service, got)
		}
	}
	for _, url := range []string{api + "/swagger/index.html", "http://127.0.0.1:8081/debug/pprof/", "http://127.0.0.1:8082/metrics"} {
		if got := status(t, url); got != http.StatusOK {
			t.Errorf("%s answers %d", url, got)
		}
	}
}

func (p *project) headline(t *testing.T) {
	r := p.startBench(t, "app", "--duration", "60s").wait()
	r.processed(t)
	if r.Answers.NotSent > 0 {
		t.Errorf("%d requests were due and not sent", r.Answers.NotSent)
	}
}

// restarts kills each component in turn. No request may notice more than a wait.
func (p *project) restarts(t *testing.T) {
	b := p.startBench(t, "app", "--duration", "300s")
	ordinaryWork(t, app)
	var faults []fault
	for _, service := range []string{"redis", "kafka", "postgres"} {
		faults = append(faults, fault{service, p.kill(service)})
		p.healthy(patience)
		ordinaryWork(t, app)
	}
	r := b.stop()
	r.processed(t)
	pauses(t, faults, history(t, r.Wallets[0]))
}

// killTheApp: who had no answer knows nothing; who had one was told the truth.
func (p *project) killTheApp(t *testing.T) {
	b := p.startBench(t, "app", "--duration", "300s", "--keys")
	ordinaryWork(t, app)
	at := p.kill("app")
	p.healthy(patience)
	ordinaryWork(t, app)
	r := b.stop()
	if a := r.Answers; a.ServerErrors+a.TooManyRequests+a.Other > 0 {
		t.Errorf("%v", r)
	}
	pauses(t, []fault{{"app", at}}, history(t, r.Wallets[0]))
}

// backup restores a dump that is older than the journal, as docs/operations.md says.
func (p *project) backup(t *testing.T) {
	deposit(t, readmeWallet, 11)
	dump := p.compose("exec", "-T", "postgres", "pg_dump", "-U", "walletd", "-Fc", "walletd")
	var want balance
	for range 20 {
		want = deposit(t, readmeWallet, 7)
	}
	p.compose("stop", "app")
	p.compose("exec", "-T", "postgres", "dropdb", "-U", "walletd", "--force", "walletd")
	p.compose("exec", "-T", "postgres", "createdb", "-U", "walletd", "walletd")
	restore := p.command(t.Context(), "exec", "-T", "postgres", "pg_restore", "-U", "walletd", "-d", "walletd")
	restore.Stdin = strings.NewReader(dump)
	run(t, restore)
	p.compose("start", "app")
	p.healthy(patience)
	eventually(t, 20*time.Second, "the journal is applied from the dump's offset on", func() error {
		if got := ledgerBalance(t, readmeWallet); got != want {
			return errNot{got, want}
		}
		return nil
	})
	t.Logf("restored, and 20 operations replayed from the journal: %+v", want)
}

func (p *project) downAndUp(t *testing.T) {
	before := ledgerBalance(t, readmeWallet)
	p.compose("down")
	t.Logf("down and healthy again in %.1f s", p.up(healthyWithin).Seconds())
	if after := ledgerBalance(t, readmeWallet); after != before {
		t.Errorf("%+v before down, %+v after up", before, after)
	}
	if after := deposit(t, readmeWallet, 1); after.Sequence != before.Sequence+1 || after.Balance != before.Balance+1 {
		t.Errorf("%+v, and after a deposit of 1 %+v", before, after)
	}
	p.compose("down", "-v")
	p.up(healthyWithin)
	if got := status(t, api+"/wallets/"+readmeWallet); got != http.StatusNotFound {
		t.Errorf("after down -v the wallet is answered %d", got)
	}
}

type errNot struct{ got, want any }

func (e errNot) Error() string {
	text, _ := json.Marshal(map[string]any{"got": e.got, "want": e.want})
	return string(text)
}

// Both files say the same to every compose that reads them.
func TestFilesAreValid(t *testing.T) {
	for _, file := range []string{"docker-compose.yml", "docker-compose.cluster.yml"} {
		p := &project{t: t, name: "walletd-e2e-config", file: file}
		p.compose("config", "-q")
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "${") {
			t.Errorf("%s depends on the environment", file)
		}
	}
}
