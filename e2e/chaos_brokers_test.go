//go:build chaos

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/walletd/walletd/internal/embedded"
)

// killTwo kills the broker that leads the hot wallet's partition and another one, or both
// that do not lead it: either way what is left has no majority, and acknowledges nothing.
func killTwo(theLeader bool) func(testing.TB, *rig) wound {
	return func(t testing.TB, r *rig) wound {
		leader := r.leader(r.hotPartition(t))
		victims := []*embedded.Kafka{r.brokerProcesses[r.another(leader)-1]}
		if theLeader {
			victims = append(victims, r.brokerProcesses[leader-1])
		} else {
			victims = append(victims, r.brokerProcesses[r.another(r.another(leader))-1])
		}
		var gone []<-chan struct{}
		for _, victim := range victims {
			gone = append(gone, victim.Exited())
			victim.Kill()
		}
		return wound{
			felt: func() error {
				if !closed(gone[0]) || !closed(gone[1]) {
					return errors.New("a broker runs on")
				}
				return r.missed("kafka")
			},
			heal: func() {
				var starting sync.WaitGroup
				for _, victim := range victims { // neither is ready without the other
					starting.Go(func() { restart(t, victim) })
				}
				starting.Wait()
			},
		}
	}
}

// leaveLeader takes the followers' way to the leader of the hot wallet's partition away, and
// not its way to them: it stays the leader, and has no in-sync replicas.
func leaveLeader(t testing.TB, r *rig) wound {
	p, leader := r.hotLeader(t)
	lines := r.between(func(_, to int32) bool { return to == leader })
	return wound{
		heal: sever(t, lines),
		felt: func() error {
			if told := r.partitionBy(leader, p); told.Leader != leader || len(told.ISR) != 1 {
				return fmt.Errorf("broker %d led the partition; it says that broker %d does, with %v in sync", leader, told.Leader, told.ISR)
			}
			return errors.Join(silent(lines), r.missed("kafka"))
		},
	}
}

// muteLeader takes the way of the hot wallet's leader to its peers away, and not theirs to
// it: it cannot say that it lives, and does not learn that it was deposed. The active controller
// would not be deposed so, for the others follow it by asking it.
func muteLeader(t testing.TB, r *rig) wound {
	p, leader := r.hotLeader(t)
	if leader == r.controller() {
		leader = r.another(leader)
		r.lead(t, leader)
	}
	lines := r.between(func(from, _ int32) bool { return from == leader })
	return wound{
		heal: sever(t, lines),
		felt: func() error { return errors.Join(r.deposed(p, leader), silent(lines)) },
	}
}

// splitAll isolates the hot wallet's leader with the first replica, which reaches no other
// broker; the second replica reaches the others only.
func splitAll(t testing.TB, r *rig) wound {
	p, leader := r.hotLeader(t)
	lines := r.between(func(from, to int32) bool { return from == leader || to == leader })
	for replica, toBrokers := range r.lines {
		for i, line := range toBrokers {
			if (replica == 0) != (int32(i+1) == leader) {
				lines = append(lines, line)
			}
		}
	}
	return wound{
		heal: sever(t, lines),
		felt: func() error { return errors.Join(r.deposed(p, leader), silent(lines)) },
	}
}

// strikeCoordinator strikes the broker that coordinates the replicas' group, and does not lead
// the hot wallet's partition.
func strikeCoordinator(blow func(testing.TB, *rig, int32) (felt func() error, heal func())) func(testing.TB, *rig) wound {
	return func(t testing.TB, r *rig) wound {
		coordinator := r.coordinatorBy(0)
		if coordinator == r.leader(r.hotPartition(t)) {
			r.lead(t, r.another(coordinator))
		}
		felt, heal := blow(t, r, coordinator)
		return wound{
			felt: func() error {
				if now := r.coordinatorBy(r.another(coordinator)); now <= 0 || now == coordinator {
					return fmt.Errorf("broker %d coordinated the group, broker %d does", coordinator, now)
				}
				return felt()
			},
			heal: heal,
		}
	}
}

func killBroker(t testing.TB, r *rig, broker int32) (func() error, func()) {
	victim := r.brokerProcesses[broker-1]
	victim.Kill()
	return func() error {
		if !closed(victim.Exited()) {
			return errors.New("the broker runs on")
		}
		return nil
	}, func() { restart(t, victim) }
}

func isolateBroker(t testing.TB, r *rig, broker int32) (func() error, func()) {
	lines := r.between(func(from, to int32) bool { return from == broker || to == broker })
	mend := sever(t, lines)
	return func() error {
		if now := r.coordinatorBy(broker); now != broker {
			return fmt.Errorf("the broker knows that broker %d is the coordinator", now)
		}
		return silent(lines)
	}, mend
}

// isolateLeaderWithoutPostgres isolates the leader and kills PostgreSQL, which starts again
// once both are missed.
func isolateLeaderWithoutPostgres(t testing.TB, r *rig) wound {
	isolated := isolateLeader(t, r)
	killed := kill("postgres", thePostgres)(t, r)
	if !within(patience, func() bool { return killed.felt() == nil }) {
		t.Error(killed.felt())
	}
	elapse(short)
	killed.heal()
	return isolated
}

const (
	moveEvery = time.Second
	movesMost = 8
)

// moveLeaders has all partitions' leaders move on, again and again.
func moveLeaders(t testing.TB, r *rig) wound {
	p := r.hotPartition(t)
	stopped, moves, next := make(chan struct{}), 0, r.leader(p)
	var mu sync.Mutex
	var moving sync.WaitGroup
	moving.Go(func() {
		tick := time.NewTicker(moveEvery)
		defer tick.Stop()
		for !closed(stopped) {
			next = r.another(next)
			r.lead(t, next)
			mu.Lock()
			moves++
			mu.Unlock()
			select {
			case <-stopped:
			case <-tick.C:
			}
		}
	})
	stop := sync.OnceFunc(func() { close(stopped); moving.Wait() })
	return wound{
		felt: func() error {
			mu.Lock()
			defer mu.Unlock()
			if moves < movesMost {
				return fmt.Errorf("%d moves", moves)
			}
			return nil
		},
		heal: stop,
	}
}

// rollBrokers stops one after the other in order and starts it again.
func rollBrokers(t testing.TB, r *rig) wound {
	for i, victim := range r.brokerProcesses {
		began := time.Now()
		if err := victim.Restart(context.Background()); err != nil {
			t.Error(err)
		}
		started := time.Now()
		eventually(t, fmt.Sprintf("all replicas are in sync with broker %d", i+1), func() bool { return r.inSync() })
		t.Logf("broker %d: restarted in %s, in sync %s later", i+1, round(started.Sub(began)), round(time.Since(started)))
	}
	return wound{felt: func() error { return nil }, heal: func() {}}
}

// inSync reports whether all replicas of the journal are.
func (r *rig) inSync() bool {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	topics, err := kadm.NewClient(r.kafkaAPI).ListTopics(ctx, r.topic)
	if err != nil || topics.Error() != nil || len(topics[r.topic].Partitions) != partitions {
		return false
	}
	for _, p := range topics[r.topic].Partitions {
		if p.Leader < 0 || len(p.ISR) != len(r.brokerProcesses) {
			return false
		}
	}
	return true
}

// hotLeader returns the hot wallet's partition and the broker that leads it.
func (r *rig) hotLeader(t testing.TB) (p, leader int32) {
	p = r.hotPartition(t)
	return p, r.leader(p)
}

// controller is the number of the active controller; 0 if that is not told.
func (r *rig) controller() int32 {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	request, topic := kmsg.NewPtrDescribeQuorumRequest(), kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", []kmsg.DescribeQuorumRequestTopicPartition{{}}
	request.Topics = append(request.Topics, topic)
	answer, err := request.RequestWith(ctx, r.kafkaAPI)
	if err != nil || len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 {
		return 0
	}
	return answer.Topics[0].Partitions[0].LeaderID
}

// lead has a broker lead all partitions of the journal.
func (r *rig) lead(t testing.TB, broker int32) {
	t.Helper()
	admin := kadm.NewClient(r.kafkaAPI)
	order, set := kadm.AlterPartitionAssignmentsReq{}, kadm.TopicsSet{}
	replicas := []int32{broker}
	for len(replicas) < len(r.brokerProcesses) {
		replicas = append(replicas, r.another(replicas[len(replicas)-1]))
	}
	for p := range int32(partitions) {
		order.Assign(r.topic, p, replicas)
		set.Add(r.topic, p)
	}
	var err error
	if !within(patience, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
		defer cancel()
		if _, err = admin.AlterPartitionAssignments(ctx, order); err != nil {
			return false
		}
		if _, err = admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, set); err != nil {
			return false
		}
		for p := range int32(partitions) {
			if now := r.leader(p); now != broker {
				err = fmt.Errorf("broker %d leads partition %d", now, p)
				return false
			}
		}
		return true
	}) {
		t.Errorf("broker %d is to lead: %v", broker, err)
	}
}

// coordinatorBy asks a broker, or with 0 any, which one coordinates the replicas' group.
func (r *rig) coordinatorBy(broker int32) int32 {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	request := kmsg.NewPtrFindCoordinatorRequest()
	request.CoordinatorKey, request.CoordinatorKeys = r.topic, []string{r.topic}
	by, end := r.by(broker)
	defer end()
	answer, err := request.RequestWith(ctx, by)
	if err != nil {
		return 0
	}
	if i := slices.IndexFunc(answer.Coordinators, func(c kmsg.FindCoordinatorResponseCoordinator) bool { return c.Key == r.topic }); i >= 0 {
		return answer.Coordinators[i].NodeID
	}
	return answer.NodeID
}
