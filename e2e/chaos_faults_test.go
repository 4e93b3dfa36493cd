//go:build chaos

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

// chaos is a fault that is injected for a while.
type chaos struct {
	name    string
	of      string        // the component: "postgres", "kafka", "redis" or "replica"
	lasts   time.Duration // from strike to heal
	brokers int           // that it needs; 0 for any
	root    bool          // needs to be root
	strike  func(t testing.TB, r *rig) wound
}

// double says that PostgreSQL is struck too: while two are away at once a request may fail.
func (c chaos) double() bool { return strings.Contains(c.name, "postgres") && c.of == "broker" }

// wound is a fault that was injected.
type wound struct {
	felt func() error // nil when it has reached the code; asked until then
	heal func()       // may be called twice
}

const (
	short    = 4 * time.Second
	session  = 9 * time.Second  // longer than a replica's session with Kafka
	deposes  = 18 * time.Second // longer than brokers need for another leader, also if the active controller is gone
	outlasts = 40 * time.Second // longer than every timeout: the longest is a request's wait of 30 s
)

// chaosFaults is every fault there is.
func chaosFaults() []chaos {
	all := []chaos{
		{"replica-kill", "replica", short, 0, false, killReplica},
		{"replica-freeze", "replica", session, 0, false, freezeReplica},
		{"replicas-roll", "replica", 0, 0, false, rollReplicas},
		{"postgres-disk-full", "postgres", short, 0, true, fillDisk},
		{"postgres-down-long", "postgres", outlasts, 0, false, kill("postgres", thePostgres)},
		{"redis-empty", "redis", 0, 0, false, kill("redis", theRedis)},
		{"kafka-leader-kill", "broker", 6 * time.Second, 3, false, strikeLeader(func(c component) { c.Kill() })},
		{"kafka-leader-freeze", "broker", 12 * time.Second, 3, false, strikeLeader(func(c component) { c.Pause() })},
		{"kafka-leader-isolate", "broker", deposes, 3, false, isolateLeader},
		{"kafka-majority-kill", "broker", 8 * time.Second, 3, false, killTwo(true)},
		{"kafka-followers-kill", "broker", 8 * time.Second, 3, false, killTwo(false)},
		{"kafka-leader-left", "broker", 12 * time.Second, 3, false, leaveLeader},
		{"kafka-leader-mute", "broker", deposes, 3, false, muteLeader},
		{"kafka-split", "broker", deposes, 3, false, splitAll},
		{"kafka-coordinator-kill", "broker", 8 * time.Second, 3, false, strikeCoordinator(killBroker)},
		{"kafka-coordinator-isolate", "broker", deposes, 3, false, strikeCoordinator(isolateBroker)},
		{"kafka-leader-isolate-postgres-kill", "broker", deposes, 3, false, isolateLeaderWithoutPostgres},
		{"kafka-leader-moves", "broker", 8 * time.Second, 3, false, moveLeaders},
		{"kafka-roll", "broker", 0, 3, false, rollBrokers},
	}
	for _, c := range []struct {
		name string
		the  func(*rig) component
	}{{"postgres", thePostgres}, {"kafka", theKafka}, {"redis", theRedis}} {
		brokers := 0
		if c.name == "kafka" {
			brokers = 1 // the only one
		}
		all = append(all,
			chaos{c.name + "-kill", c.name, short, brokers, false, kill(c.name, c.the)},
			chaos{c.name + "-freeze", c.name, session, brokers, false, freeze(c.name, c.the)},
			chaos{c.name + "-cut", c.name, short, 0, false, cut(c.name)},
			chaos{c.name + "-hang", c.name, session, 0, false, hang(c.name)},
			chaos{c.name + "-slow", c.name, short, 0, false, slow(c.name, "latency", toxiproxy.Attributes{"latency": 40, "jitter": 20})},
			chaos{c.name + "-narrow", c.name, short, 0, false, slow(c.name, "bandwidth", toxiproxy.Attributes{"rate": 2000})},
			chaos{"start-without-" + c.name, c.name, 0, brokers, false, startWithout(c.name, c.the)},
		)
	}
	return all
}

func thePostgres(r *rig) component { return r.postgres }
func theKafka(r *rig) component    { return r.kafka }
func theRedis(r *rig) component    { return r.redis }

// mortal is a component whose process can be looked at.
type mortal interface {
	component
	Pid() int
	Exited() <-chan struct{}
}

func kill(name string, the func(*rig) component) func(testing.TB, *rig) wound {
	return func(t testing.TB, r *rig) wound {
		c := the(r).(mortal)
		exited := c.Exited()
		c.Kill()
		return wound{
			felt: func() error {
				if !closed(exited) {
					return errors.New("the process runs on")
				}
				return r.missed(name)
			},
			heal: func() { restart(t, c) },
		}
	}
}

func freeze(name string, the func(*rig) component) func(testing.TB, *rig) wound {
	return func(t testing.TB, r *rig) wound {
		c := the(r).(mortal)
		c.Pause()
		return wound{
			felt: func() error { return errors.Join(stoppedProcess(c.Pid()), r.missed(name)) },
			heal: c.Resume,
		}
	}
}

func cut(name string) func(testing.TB, *rig) wound {
	return func(t testing.TB, r *rig) wound {
		proxies := r.proxiesOf(name)
		if err := inUse(proxies); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, p := range proxies {
			p.cut(t)
		}
		return wound{
			felt: func() error { return errors.Join(silent(proxies), r.missed(name)) },
			heal: func() {
				for _, p := range proxies {
					p.mend(t)
				}
			},
		}
	}
}

func hang(name string) func(testing.TB, *rig) wound {
	return func(t testing.TB, r *rig) wound {
		proxies := r.proxiesOf(name)
		if err := inUse(proxies); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, p := range proxies {
			p.both(t, "timeout", toxiproxy.Attributes{"timeout": 0})
		}
		return wound{
			felt: func() error { return errors.Join(silent(proxies), r.missed(name)) },
			heal: func() {
				for _, p := range proxies {
					p.remove(t, "timeout")
				}
			},
		}
	}
}

// slow makes a component's answers late or its line narrow, within what walletd
// waits for: all that passes is passed through the toxic.
func slow(name, toxic string, attributes toxiproxy.Attributes) func(testing.TB, *rig) wound {
	return func(t testing.TB, r *rig) wound {
		proxies := r.proxiesOf(name)
		for _, p := range proxies {
			p.both(t, toxic, attributes)
		}
		return wound{
			felt: func() error { return inUse(proxies) },
			heal: func() {
				for _, p := range proxies {
					p.remove(t, toxic)
				}
			},
		}
	}
}

// startWithout takes a component away and starts a replica anew meanwhile.
func startWithout(name string, the func(*rig) component) func(testing.TB, *rig) wound {
	return func(t testing.TB, r *rig) wound {
		w := kill(name, the)(t, r)
		victim := r.replicas[1]
		within(patience, func() bool { return r.missed(name) == nil })
		victim.terminate()
		victim.start()
		return wound{
			felt: func() error {
				h, err := victim.healthWithin(checkTimeout)
				if err != nil || h.code != http.StatusOK || h.of(name) != "down" {
					return fmt.Errorf("started without %s, the replica says %+v %w", name, h, err)
				}
				return w.felt()
			},
			heal: w.heal,
		}
	}
}

func killReplica(t testing.TB, r *rig) wound {
	victim, at := r.hotOwner(t)
	r.amid(t, at)
	life := victim.current()
	lost := r.balancer.reset.Load() + r.balancer.refused.Load()
	victim.kill()
	return wound{
		felt: func() error {
			if !closed(life.ended) || !strings.Contains(fmt.Sprint(life.exit), "killed") {
				return fmt.Errorf("the replica ended with %w", life.exit)
			}
			if r.balancer.reset.Load()+r.balancer.refused.Load() == lost {
				return errors.New("no request was cut off")
			}
			return nil
		},
		heal: func() {
			if victim.current() == life {
				victim.start()
			}
		},
	}
}

func freezeReplica(t testing.TB, r *rig) wound {
	victim, at := r.hotOwner(t)
	r.amid(t, at)
	process, late := victim.current().process, r.balancer.timeout.Load()
	_ = process.Signal(syscall.SIGSTOP)
	return wound{
		felt: func() error {
			if err := stoppedProcess(process.Pid); err != nil {
				return err
			}
			if r.balancer.timeout.Load() == late {
				return errors.New("no request was kept waiting")
			}
			return nil
		},
		heal: func() { _ = process.Signal(syscall.SIGCONT) },
	}
}

// rollReplicas stops one after the other in order and starts it again.
func rollReplicas(t testing.TB, r *rig) wound {
	for i, victim := range r.replicas {
		victim.terminate()
		victim.start()
		eventually(t, victim.name+" is ready", func() bool {
			h, err := victim.healthWithin(checkTimeout)
			return err == nil && h.code == http.StatusOK && !r.balancer.out[i].Load()
		})
	}
	return wound{felt: func() error { return nil }, heal: func() {}}
}

func fillDisk(t testing.TB, r *rig) wound {
	before := r.postgresSaid("53100")
	if err := r.disk.fill(); err != nil {
		t.Error(err)
	}
	return wound{
		felt: func() error {
			if r.postgresSaid("53100") == before {
				return errors.New("PostgreSQL has not said 53100, disk full")
			}
			return nil
		},
		heal: func() {
			if err := r.disk.free(); err != nil {
				t.Error(err)
			}
		},
	}
}

// strikeLeader strikes the broker that leads the hot wallet's partition.
func strikeLeader(blow func(component)) func(testing.TB, *rig) wound {
	return func(t testing.TB, r *rig) wound {
		p := r.hotPartition(t)
		leader := r.leader(p)
		victim := r.brokerProcesses[leader-1]
		blow(victim)
		return wound{
			felt: func() error {
				if !closed(victim.Exited()) && stoppedProcess(victim.Pid()) != nil {
					return errors.New("the broker runs on")
				}
				if now := r.leader(p); now <= 0 || now == leader {
					return fmt.Errorf("broker %d led the partition, broker %d leads it", leader, now)
				}
				return nil
			},
			heal: func() {
				if closed(victim.Exited()) {
					restart(t, victim)
				} else {
					victim.Resume()
				}
			},
		}
	}
}

func restart(t testing.TB, c mortal) {
	if !closed(c.Exited()) {
		return
	}
	if err := c.Restart(context.Background()); err != nil {
		t.Error(err)
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// stoppedProcess is nil while the process is frozen.
func stoppedProcess(pid int) error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return err
	}
	if _, after, _ := strings.Cut(string(stat), ") "); !strings.HasPrefix(after, "T") {
		return fmt.Errorf("process %d is not stopped: %.20s", pid, after)
	}
	return nil
}

func (r *rig) proxiesOf(name string) []*proxy {
	return map[string][]*proxy{"postgres": {r.ledgerProxy}, "redis": {r.cacheProxy}, "kafka": r.brokerProxies}[name]
}

// look is how long a proxy is watched.
const look = 300 * time.Millisecond

func inUse(proxies []*proxy) error {
	if !slices.ContainsFunc(proxies, func(p *proxy) bool { return p.moved(look) > 0 }) {
		return errors.New("nothing passed the proxy")
	}
	return nil
}

func silent(proxies []*proxy) error {
	for _, p := range proxies {
		if n := p.moved(look); n > 0 {
			return fmt.Errorf("%d bytes passed the proxy %s", n, p.Name)
		}
	}
	return nil
}

// missed is nil when every replica that answers says that the component is down.
func (r *rig) missed(name string) error {
	for _, replica := range r.replicas {
		if h, err := replica.healthWithin(checkTimeout); err == nil && h.of(name) != "down" {
			return fmt.Errorf("%s says that %s is %q", replica.name, name, h.of(name))
		}
	}
	return nil
}

func (r *rig) postgresSaid(what string) int {
	text, _ := os.ReadFile(r.postgres.LogPath())
	return strings.Count(string(text), what)
}
