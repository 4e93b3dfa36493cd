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
// Each reaches each other one through proxies that nobody else uses, since a peer's
// name has another address for each of them.
func (r *rig) formCluster(t testing.TB, ports []int) []map[string]string {
	t.Helper()
	n := len(ports) / 2
	r.peerProxies = map[[2]int][]*proxy{}
	all := make([]map[string]string, n)
	var voters []string
	for to := range n {
		peer, controller := ports[2*to], ports[2*to+1]
		voters = append(voters, fmt.Sprintf("%d@%s:%d", to+1, peerName(to), controller))
		for from := range n {
			if from == to {
				continue
			}
			for role, port := range map[string]int{"peer": peer, "controller": controller} {
				p := newProxyAt(t, fmt.Sprintf("kafka-%d-%d-%d-%s", rigs, from+1, to+1, role),
					fmt.Sprintf("%s:%d", peersOf(from, n)[peerName(to)], port), fmt.Sprint("127.0.0.1:", port))
				r.peerProxies[[2]int{from + 1, to + 1}] = append(r.peerProxies[[2]int{from + 1, to + 1}], p)
			}
		}
		all[to] = map[string]string{
			"node.id":                        strconv.Itoa(to + 1),
			"listeners":                      fmt.Sprintf("PEER://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", peer, controller),
			"advertised.listeners":           fmt.Sprintf("PEER://%s:%d", peerName(to), peer),
			"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,WALLETD:PLAINTEXT,PEER:PLAINTEXT,CONTROLLER:PLAINTEXT",
			"inter.broker.listener.name":     "PEER",
		}
	}
	for _, properties := range all {
		properties["controller.quorum.voters"] = strings.Join(voters, ",")
		if n > 1 {
			properties["offsets.topic.replication.factor"], properties["min.insync.replicas"] = "3", "2"
			properties["replica.lag.time.max.ms"] = "5000" // how long a frozen broker holds up writes; Kafka's own is 30 s
		}
	}
	return all
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

// isolateLeader takes the broker that leads the hot wallet's partition away from its
// peers, which elect another leader, while whoever is no broker reaches it. It
// answers on, and does not know that it was deposed.
func isolateLeader(t testing.TB, r *rig) wound {
	p := r.hotPartition(t)
	leader := r.leader(p)
	var lines []*proxy
	for ends, proxies := range r.peerProxies {
		if ends[0] == int(leader) || ends[1] == int(leader) {
			lines = append(lines, proxies...)
		}
	}
	if err := inUse(lines); err != nil {
		t.Error(err)
	}
	for _, line := range lines {
		line.both(t, "timeout", toxiproxy.Attributes{"timeout": 0})
	}
	return wound{
		felt: func() error {
			if now := r.leaderBy(1+leader%int32(len(r.brokerProcesses)), p); now <= 0 || now == leader {
				return fmt.Errorf("broker %d led the partition, broker %d leads it", leader, now)
			}
			if r.leaderBy(leader, p) != leader {
				return errors.New("the broker knows that it was deposed")
			}
			return silent(lines)
		},
		heal: func() {
			for _, line := range lines {
				line.cut(t)
				line.remove(t, "timeout")
				line.mend(t)
			}
		},
	}
}
