//go:build chaos

package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// amidWithin is how recently the ledger has moved when a replica is struck.
const amidWithin = 20 * time.Millisecond

// healthWithin is health with a deadline, for a replica that may be frozen.
func (r *replica) healthWithin(d time.Duration) (health, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	a := r.doCtx(ctx, http.MethodGet, "/readyz", nil)
	h := health{code: a.code}
	if a.err != nil {
		return h, a.err
	}
	return h, json.Unmarshal(a.body, &h)
}

// hotPartition is where the load's first wallet has its records.
func (r *rig) hotPartition(t testing.TB) int32 {
	t.Helper()
	var p int32 = -1
	eventually(t, "the hot wallet's partition is known", func() bool {
		a := r.replicas[0].get(walletPath(r.hot) + "/operations?limit=10")
		for _, op := range a.doc.Operations {
			if op.Partition != nil {
				p = *op.Partition
			}
		}
		return p >= 0
	})
	return p
}

// hotOwner returns the replica whose worker applies the hot wallet, and its place.
func (r *rig) hotOwner(t testing.TB) (owner *replica, at int) {
	t.Helper()
	p := r.hotPartition(t)
	eventually(t, "the hot wallet's partition has an owner", func() bool { owner = r.owner(p); return owner != nil })
	for i := range r.replicas {
		if r.replicas[i] == owner {
			at = i
		}
	}
	return owner, at
}

// amid returns in the middle of a batch: the ledger has just moved, and requests are
// unanswered at the replica.
func (r *rig) amid(t testing.TB, at int) {
	t.Helper()
	p, conn := r.hotPartition(t), r.connect()
	next := func() (n int64) {
		if err := conn.QueryRow(context.Background(), "SELECT next_offset FROM journal_offsets WHERE partition = $1", p).Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	eventually(t, "in the middle of a batch", func() bool {
		for before, since := next(), time.Now(); time.Since(since) < amidWithin; {
			if now, waiting := next(), r.balancer.pending[at].Load(); now > before && waiting > 0 {
				t.Logf("struck amid a batch: the ledger went from offset %d to %d within %s, %d requests unanswered at the replica",
					before, now, time.Since(since).Round(100*time.Microsecond), waiting)
				return true
			}
		}
		return false
	})
}

// leader asks who leads a partition; 0 when nobody is known to.
func (r *rig) leader(p int32) int32 { return r.leaderBy(0, p) }

// leaderBy asks one broker for it, which may not know of a newer one.
func (r *rig) leaderBy(broker, p int32) int32 { return r.partitionBy(broker, p).Leader }

// partitionBy is what a broker, or with 0 any, says of a partition; without a leader if it says
// nothing.
func (r *rig) partitionBy(broker, p int32) (none kmsg.MetadataResponseTopicPartition) {
	by, end := r.by(broker)
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{{Topic: &r.topic}}
	answer, err := request.RequestWith(ctx, by)
	if err != nil || len(answer.Topics) != 1 {
		return none
	}
	for _, partition := range answer.Topics[0].Partitions {
		if partition.Partition == p {
			return partition
		}
	}
	return none
}

// by is who answers for a broker, or with 0 for any; end is called afterwards.
func (r *rig) by(broker int32) (_ kmsg.Requestor, end func()) {
	if broker == 0 {
		return r.kafkaAPI, func() {}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(r.brokerProcesses[broker-1].Brokers()...))
	if err != nil {
		return r.kafkaAPI, func() {}
	}
	return client.SeedBrokers()[0], client.Close
}
