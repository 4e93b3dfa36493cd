package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// walletOf makes a wallet whose operations the replica applies.
func (s *stack) walletOf(r *replica) uuid.UUID {
	s.t.Helper()
	for {
		id := s.wallet()
		if a := expect(s.t, s.replicas[0].submit(id, deposit, 1_000), 200); s.owner(value(a.doc.Operation.Partition)) == r {
			return id
		}
	}
}

// accept sends withdrawals of the wallets in turn, which are accepted and not waited for.
func (s *stack) accept(r *replica, n int, ids ...uuid.UUID) (sends []*send) {
	s.t.Helper()
	for n := range n {
		x := &send{wallet: ids[n%len(ids)], key: fmt.Sprint("lost-", n), kind: withdraw, amount: int64(1 + n), sent: time.Now(), by: r.incarnation()}
		x.answer = expect(s.t, r.submit(x.wallet, withdraw, x.amount, "Idempotency-Key", x.key, "Prefer", "respond-async"), http.StatusAccepted)
		x.end = time.Now()
		sends = append(sends, x)
	}
	return sends
}

func (r *replica) eventuallyApplies(sends []*send) {
	r.t.Helper()
	for _, x := range sends {
		path := "/api/v1/wallets/" + x.wallet.String() + "/operations/" + x.id()
		eventually(r.t, "what was lost is applied", func() bool {
			got := r.get(path)
			return got.code == 200 && strings.Contains(string(got.body), `"APPLIED"`)
		})
	}
}

// The broker loses the end of a partition's log, with what one replica had accepted and
// another, which dies, had not applied. What is left is read, and who accepted the rest
// applies it behind that: each once, in the order in which it was accepted.
func TestWhatIsLostWithAPartitionsEndIsAppliedByWhoAcceptedIt(t *testing.T) {
	s := startStack(t, 2)
	s.kafkaWentAway = true
	accepts, owns := s.replicas[0], s.replicas[1]
	id := s.walletOf(owns)
	s.drained()
	partition := value(s.audit(id, nil)[0].Partition)
	segment := s.kafka.SegmentFile(s.topic, partition)
	size := func() int64 {
		t.Helper()
		return must[os.FileInfo](t)(os.Stat(segment)).Size()
	}
	before := size()
	_ = owns.current().process.Signal(syscall.SIGSTOP)
	sends := s.accept(accepts, 40, id)
	ended := s.ends()[partition]
	s.kafka.Kill()
	owns.kill()
	if err := os.Truncate(segment, (before+size())/2); err != nil {
		t.Fatal(err)
	}
	if err := s.kafka.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("partition %d ended at %d, now at %d", partition, ended, s.ends()[partition])
	accepts.eventuallyApplies(sends)
	if n := accepts.metric("walletd_lost_operations_total"); n == 0 || n >= float64(len(sends)) {
		t.Errorf("%v of %d are counted as lost", n, len(sends))
	}
	accepts.ready()
	owns.start()
	owns.ready()
	s.drained()
	ops := s.audit(id, sends)
	for n, x := range sends {
		if got := ops[len(ops)-len(sends)+n].OperationID; got != x.id() {
			t.Fatalf("operation %d is %s, want %s: they are not in their order", n, got, x.id())
		}
	}
	s.clean()
}

// The journal is lost, with what one replica had accepted and another, which dies, had not
// applied. Who accepted it still knows it, and once an operator has the ledger go on with
// another topic, applies it: each once, in the order in which it was accepted.
func TestWhatIsLostWithATopicIsAppliedByWhoAcceptedIt(t *testing.T) {
	s := startStack(t, 2)
	s.kafkaWentAway = true
	accepts, owns := s.replicas[0], s.replicas[1]
	ids := []uuid.UUID{s.walletOf(owns), s.walletOf(owns)}
	s.drained()
	before := s.count("SELECT count(*) FROM operations")

	_ = owns.current().process.Signal(syscall.SIGSTOP)
	sends := s.accept(accepts, 40, ids...)
	s.recreate()
	owns.kill()
	eventually(t, "the replica shows it", func() bool { return stopped(accepts) })
	if n := s.count("SELECT count(*) FROM operations"); n != before {
		t.Fatalf("%d operations were applied before they could be lost", n-before)
	}
	s.operator(0, "journal", "accept-topic", "--topic-id", s.topicID(), "--reason", "the disk is gone", "--by", "ada", "--yes")
	accepts.eventuallyApplies(sends)
	if n := accepts.metric("walletd_lost_operations_total"); n < float64(len(sends)) {
		t.Errorf("%v are counted as lost, want %d", n, len(sends))
	}
	owns.start()
	owns.ready()
	s.drained()
	for _, id := range ids {
		s.audit(id, sends)
	}
}
