//go:build containers

package compose_test

import (
	"testing"
)

func TestComposeCluster(t *testing.T) {
	p := newProject(t, "walletd-e2e-cluster", "docker-compose.cluster.yml", "--profile", "observability")
	p.compose("build")
	t.Logf("healthy %.1f s after docker-compose up -d", p.up(patience).Seconds())
	for _, s := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"Prometheus", p.observed}, {"a broker or a replica is killed", p.anyOneDies}, {"a replica is stopped in order", p.drain},
		{"an operator audits", p.audit},
		{"nothing fires", p.quiet},
	} {
		if !t.Run(s.name, func(t *testing.T) { p.t = t; s.run(t) }) {
			break
		}
	}
	p.t = t
}

// anyOneDies kills each broker and each replica in turn, through HAProxy, with keys:
// nothing but the answers of a service that is whole may be seen.
func (p *project) anyOneDies(t *testing.T) {
	before := haproxy(t)
	b := p.startBench(t, "haproxy", "--duration", "480s", "--keys")
	ordinaryWork(t, haproxy)
	var faults []fault
	for _, service := range []string{"kafka1", "kafka2", "kafka3", "app1", "app2", "app3"} {
		faults = append(faults, fault{service, p.kill(service)})
		p.healthy(patience)
		ordinaryWork(t, haproxy)
	}
	r := b.stop()
	r.processed(t)
	pauses(t, faults, history(t, r.Wallets[0]))
	after := haproxy(t)
	for _, name := range []string{"haproxy_backend_retry_warnings_total", "haproxy_backend_redispatch_warnings_total"} {
		t.Logf("%s: %.0f before, %.0f after", name, before[name], after[name])
	}
}

// drain stops a replica as an upgrade does: even requests without a key notice nothing.
func (p *project) drain(t *testing.T) {
	b := p.startBench(t, "haproxy", "--duration", "300s")
	ordinaryWork(t, haproxy)
	p.compose("stop", "app2")
	ordinaryWork(t, haproxy)
	p.compose("start", "app2")
	p.healthy(patience)
	ordinaryWork(t, haproxy)
	b.stop().processed(t)
}

// audit is an operator's, who reaches what the file publishes nowhere. It fails on any
// difference.
func (p *project) audit(t *testing.T) {
	p.compose("build", "walletctl") // what is not started is not built either, if there is an older one
	t.Log(p.compose("run", "--rm", "walletctl", "audit"))
}
