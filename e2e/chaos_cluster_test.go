//go:build chaos

package e2e_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

// formCluster returns each broker's properties as a member of a cluster of brokers
// that are controllers too. It has two ports: for its peers and for their controllers.
func (r *rig) formCluster(t testing.TB, ports []int) []map[string]string {
	t.Helper()
	n := len(ports) / 2
	r.peerProxies = map[[2]int][]*proxy{}
	all := make([]map[string]string, n)
	var voters []string
	for i := range n {
		peer, controller := ports[2*i], ports[2*i+1]
		r.addPeerProxies(t, i, n, peer, controller)
		voters = append(voters, fmt.Sprintf("%d@%s:%d", i+1, peerName(i), controller))
		all[i] = map[string]string{
			"node.id":   strconv.Itoa(i + 1),
			"listeners": fmt.Sprintf("PEER://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", peer, controller),
			// a controller tells where it is when it is elected
			"advertised.listeners":           fmt.Sprintf("PEER://%s:%d,CONTROLLER://%s:%d", peerName(i), peer, peerName(i), controller),
			"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PEER:PLAINTEXT,CONTROLLER:PLAINTEXT",
			"inter.broker.listener.name":     "PEER",
		}
		if n > 1 {
			all[i]["offsets.topic.replication.factor"], all[i]["min.insync.replicas"] = "3", "2"
			all[i]["replica.lag.time.max.ms"] = "5000" // how long a frozen broker holds up writes; Kafka's own is 30 s
		}
	}
	for _, properties := range all {
		properties["controller.quorum.voters"] = strings.Join(voters, ",")
	}
	return all
}

// addPeerProxies gives each other broker proxies to the broker i of n that nobody else
// uses, since a peer's name has another address for each of them.
func (r *rig) addPeerProxies(t testing.TB, i, n int, ports ...int) {
	t.Helper()
	for from := range n {
		if from == i {
			continue
		}
		ends := [2]int{from + 1, i + 1}
		for _, port := range ports {
			listen := fmt.Sprintf("%s:%d", peersOf(from, n)[peerName(i)], port)
			p := newProxyAt(t, fmt.Sprintf("kafka-%d-%d-%d-%d", rigs, ends[0], ends[1], port), listen, fmt.Sprint("127.0.0.1:", port))
			r.peerProxies[ends] = append(r.peerProxies[ends], p)
		}
	}
}

func peerName(i int) string { return fmt.Sprint("peer-", i+1) }

// peersOf is where the broker i of n finds each one: itself at its own address, the
// others at proxies.
func peersOf(i, n int) map[string]string {
	addresses := map[string]string{}
	for j := range n {
		addresses[peerName(j)] = fmt.Sprintf("127.0.%d.%d", i+1, j+1)
	}
	addresses[peerName(i)] = "127.0.0.1"
	return addresses
}

// between is the lines from brokers to their peers, for which is says so.
func (r *rig) between(is func(from, to int32) bool) (lines []*proxy) {
	for ends, proxies := range r.peerProxies {
		if is(int32(ends[0]), int32(ends[1])) {
			lines = append(lines, proxies...)
		}
	}
	return lines
}

// sever has nothing pass these lines any more, until mend: what waits on them then is cut off.
func sever(t testing.TB, lines []*proxy) (mend func()) {
	if err := inUse(lines); err != nil {
		t.Error(err)
	}
	for _, line := range lines {
		line.both(t, "timeout", toxiproxy.Attributes{"timeout": 0})
	}
	return func() {
		for _, line := range lines {
			line.cut(t)
			line.remove(t, "timeout")
			line.mend(t)
		}
	}
}

// isolateLeader takes the broker that leads the hot wallet's partition away from its
// peers, which elect another leader, while whoever is no broker reaches it. It
// answers on, and does not know that it was deposed.
func isolateLeader(t testing.TB, r *rig) wound {
	p, leader := r.hotLeader(t)
	lines := r.between(func(from, to int32) bool { return from == leader || to == leader })
	return wound{
		heal: sever(t, lines),
		felt: func() error { return errors.Join(r.deposed(p, leader), silent(lines)) },
	}
}

// deposed is nil while the brokers have another leader than this one, which does not know it.
func (r *rig) deposed(p, leader int32) error {
	if now := r.leaderBy(r.another(leader), p); now <= 0 || now == leader {
		return fmt.Errorf("broker %d led the partition, broker %d leads it", leader, now)
	}
	if r.leaderBy(leader, p) != leader {
		return errors.New("the broker knows that it was deposed")
	}
	return nil
}

// another is a broker that is not this one.
func (r *rig) another(broker int32) int32 { return 1 + broker%int32(len(r.brokerProcesses)) }
