//go:build chaos

package e2e_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/embedded"
)

// rig is a stack of its own, each component behind a proxy: a PostgreSQL that waits
// for its disk, one Kafka broker or three, a Redis, and two replicas.
type rig struct {
	*stack
	brokerProcesses []*embedded.Kafka
	ledgerProxy     *proxy
	cacheProxy      *proxy
	brokerProxies   []*proxy            // all of walletd's
	lines           [][]*proxy          // those of one replica, to each broker
	peerProxies     map[[2]int][]*proxy // from one broker to another, by their numbers
	disk            *disk
	balancer        *balancer
	hot             uuid.UUID // the wallet that gets most requests
}

var rigs int

// newRig starts all of it. It is stopped at the test's end.
func newRig(t testing.TB, brokers int, env ...string) *rig {
	t.Helper()
	rigs++
	dir := filepath.Join(world.dir, fmt.Sprintf("chaos-%d", rigs))
	r := &rig{disk: newDisk(t)}
	postgres := stoppedAfter[*embedded.Postgres](t)(embedded.StartPostgres(t.Context(), embedded.PostgresConfig{
		Dir: filepath.Join(dir, "postgres"), Progress: os.Stderr,
		Settings: map[string]string{"max_connections": "200", "log_line_prefix": "%e "},
	}))
	redis := stoppedAfter[*embedded.Redis](t)(embedded.StartRedis(t.Context(), embedded.RedisConfig{Dir: filepath.Join(dir, "redis")}))
	r.startBrokers(t, dir, brokers)
	r.stack = newStackOn(t, postgres, redis, r.brokerProcesses[0], r.brokerProcesses[1:]...)
	r.kafkaWentAway = true
	r.disk.give(t, filepath.Join(dir, "postgres", "data"))
	r.exec(r.postgres.DSN(), "CREATE TABLESPACE small LOCATION '"+r.disk.dir+"'")
	r.exec(r.postgres.DSN(), "ALTER DATABASE "+r.database+" SET TABLESPACE small")
	r.ledgerProxy = newProxy(t, fmt.Sprintf("postgres-%d", rigs), net.JoinHostPort("127.0.0.1", strconv.Itoa(postgres.Port())))
	r.cacheProxy = newProxy(t, fmt.Sprintf("redis-%d", rigs), redis.Addr())
	for i := range r.lines {
		r.add(1, r.through(i, env...)...)
	}
	r.balancer = newBalancer(t, r.replicas)
	for _, replica := range r.replicas {
		replica.ready()
	}
	r.shared(r.replicas...)
	return r
}

// through is the environment of a replica that reaches the components by the proxies.
func (r *rig) through(replica int, extra ...string) []string {
	_, port, _ := net.SplitHostPort(r.ledgerProxy.Listen)
	var brokers []string
	for _, p := range r.lines[replica] {
		brokers = append(brokers, p.Listen)
	}
	return append([]string{
		"WALLETD_POSTGRES_PORT=" + port, "WALLETD_REDIS_ADDRESS=" + r.cacheProxy.Listen,
		"WALLETD_KAFKA_BROKERS=" + strings.Join(brokers, ","), fmt.Sprint("WALLETD_KAFKA_REPLICATION=", len(brokers)),
		"WALLETD_SHUTDOWN_DELAY=3s", // longer than the balancer takes to notice
	}, extra...)
}

// rigReplicas is how many replicas a rig has.
const rigReplicas = 2

// startBrokers starts Kafka. Each broker has an address of its own for the test, a
// proxy's for each replica, and others for its peers.
func (r *rig) startBrokers(t testing.TB, dir string, n int) {
	t.Helper()
	const each = 2 + 1 + rigReplicas // ports of a broker: for its peers, the test and the replicas
	id, ports := embedded.NewClusterID(), freePorts(t, each*n)
	properties := r.formCluster(t, ports[:2*n])
	r.brokerProcesses, r.lines = make([]*embedded.Kafka, n), make([][]*proxy, rigReplicas)
	errs := make([]error, n)
	var starting sync.WaitGroup
	for i := range n {
		own, walletd := ports[2*n+i], ports[3*n+rigReplicas*i:][:rigReplicas]
		listeners, advertised := fmt.Sprintf(",PLAINTEXT://127.0.0.1:%d", own), fmt.Sprintf(",PLAINTEXT://127.0.0.1:%d", own)
		for replica, port := range walletd {
			p := newProxy(t, fmt.Sprintf("kafka-%d-%d-replica%d", rigs, i+1, replica), fmt.Sprint("127.0.0.1:", port))
			r.brokerProxies, r.lines[replica] = append(r.brokerProxies, p), append(r.lines[replica], p)
			listeners += fmt.Sprintf(",REPLICA%d://127.0.0.1:%d", replica, port)
			advertised += fmt.Sprintf(",REPLICA%d://%s", replica, p.Listen)
			properties[i]["listener.security.protocol.map"] += fmt.Sprintf(",REPLICA%d:PLAINTEXT", replica)
		}
		properties[i]["listeners"] += listeners
		properties[i]["advertised.listeners"] += advertised
		starting.Go(func() {
			r.brokerProcesses[i], errs[i] = embedded.StartKafka(context.Background(), embedded.KafkaConfig{
				Dir: filepath.Join(dir, fmt.Sprint("kafka-", i+1)), Port: own, ClusterID: id, ExtraProperties: properties[i], Hosts: peersOf(i, n), Progress: os.Stderr,
			})
		})
	}
	starting.Wait()
	for i, err := range errs {
		stoppedAfter[*embedded.Kafka](t)(r.brokerProcesses[i], err)
		if n > 1 { // the last ones of a cluster do not stop in order, for want of a majority
			t.Cleanup(r.brokerProcesses[i].Kill)
		}
	}
}
