package e2e_test

import (
	"fmt"
	"net/http"
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
	var sends []*send
	for n := range 40 {
		x := &send{wallet: ids[n%2], key: fmt.Sprint("lost-", n), kind: withdraw, amount: int64(1 + n), sent: time.Now(), by: accepts.incarnation()}
		x.answer = expect(t, accepts.submit(x.wallet, withdraw, x.amount, "Idempotency-Key", x.key, "Prefer", "respond-async"), http.StatusAccepted)
		x.end = time.Now()
		sends = append(sends, x)
	}
	s.recreate()
	owns.kill()
	eventually(t, "the replica shows it", func() bool { return stopped(accepts) })
	if n := s.count("SELECT count(*) FROM operations"); n != before {
		t.Fatalf("%d operations were applied before they could be lost", n-before)
	}
	s.operator(0, "journal", "accept-topic", "--topic-id", s.topicID(), "--reason", "the disk is gone", "--by", "ada", "--yes")
	for _, x := range sends {
		path := "/api/v1/wallets/" + x.wallet.String() + "/operations/" + x.id()
		eventually(t, "what was lost is applied", func() bool {
			got := accepts.get(path)
			return got.code == 200 && strings.Contains(string(got.body), `"APPLIED"`)
		})
	}
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
