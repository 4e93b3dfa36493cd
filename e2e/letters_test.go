package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/wallet"
)

// TestAnOperatorSettlesDeadLetters: one of them nobody can read, it is discarded;
// the other is as a program before this one buried it, it is replayed, and applied
// once however often.
func TestAnOperatorSettlesDeadLetters(t *testing.T) {
	t.Parallel()
	s := startStack(t, 2)
	id := s.wallet()
	expect(t, s.replicas[0].submit(id, deposit, 100), 200)
	s.produce(&kgo.Record{Topic: s.topic, Partition: 2, Key: []byte("no wallet"), Value: []byte("by hand"), Headers: []kgo.RecordHeader{{Key: "from", Value: []byte("hand")}}})
	eventually(t, "it is a dead letter", func() bool {
		return strings.Contains(s.operator(0, "dlq", "list"), "open")
	})
	says(t, s.operator(0, "dlq", "show", "0-0"), " 2-", "does not decode", `"hand"`, "|by hand|")
	says(t, s.operator(3, "dlq", "replay", "0-0"), "does not decode")
	s.operator(0, "dlq", "discard", "0-0", "--reason", "written by a tool", "--by", "ada")
	says(t, s.operator(3, "dlq", "discard", "0-0", "--reason", "again"), "resolved before: discarded by ada")

	op := wallet.Operation{ID: uuid.New(), WalletID: id, Type: wallet.Deposit, Amount: 23, AcceptedAt: time.Now()}
	r := journal.Encode(&wallet.Record{Kind: wallet.KindOperations, WalletID: id, Operations: []wallet.Operation{op}})
	r.Topic = s.topic + ".dead-letters"
	for _, h := range [][2]string{{"walletd-partition", "1"}, {"walletd-offset", "0"}, {"walletd-error", "version 1 is not known"}} {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
	}
	s.produce(r)
	says(t, s.operator(0, "dlq", "list", "--state", "open"), "0-1", "version 1 is not known", "1 dead letters")
	says(t, s.operator(0, "dlq", "show", "0-1"), "decodes: operations of wallet "+id.String())
	s.operator(0, "dlq", "replay", "0-1", "--reason", "upgraded")
	says(t, s.operator(3, "dlq", "replay", "0-1"), "resolved before: replayed by")
	s.operator(0, "dlq", "replay", "0-1", "--force", "--reason", "once more")
	s.drained()
	ops := s.audit(id, nil)
	if len(ops) != 2 || ops[1].OperationID != op.ID.String() || value(ops[1].BalanceAfter) != 123 {
		t.Errorf("the wallet has %+v", ops)
	}
	if left := s.operator(0, "dlq", "list", "--state", "open"); !strings.Contains(left, "0 dead letters") {
		t.Error(left)
	}
	says(t, s.operator(0, "interventions"), "dlq_replay", "upgraded", "dlq_discard", "written by a tool", "ada")
}

// TestAnOperatorReleasesAWallet whose row was held locked for so long that its
// backoff has grown: it is applied at once, and not when the backoff ends.
func TestAnOperatorReleasesAWallet(t *testing.T) {
	t.Parallel()
	s := startStack(t, 2)
	held := s.wallet()
	expect(t, s.replicas[0].submit(held, deposit, 1000), 200)
	unlock := s.lock(s.connect(), held)
	for n := range 5 {
		expect(t, s.replicas[n%2].submit(held, withdraw, int64(1+n), "Prefer", "respond-async"), 202)
	}
	eventually(t, "its backoff is longer than this test waits", func() bool {
		return s.count("SELECT count(*) FROM requeued_lists WHERE not_before > now() + interval '6 seconds'") == 1
	})
	says(t, s.operator(0, "requeued", "list"), held.String(), "its row is held locked", "1 wallets are set aside")
	unlock()
	began := time.Now()
	says(t, s.operator(0, "requeued", "release", held.String(), "--reason", "the session is ended", "--by", "ada"), "1 wallets are due at once")
	eventually(t, "the list is applied", func() bool { return s.count("SELECT count(*) FROM requeued_lists") == 0 })
	if d := time.Since(began); d > 4*time.Second {
		t.Errorf("applied %s after the release: it has waited for its backoff", d)
	} else {
		t.Logf("applied %s after the release", d.Round(time.Millisecond))
	}
	s.drained()
	if ops := s.audit(held, nil); len(ops) != 6 || value(ops[5].BalanceAfter) != 985 {
		t.Errorf("the wallet has %+v", ops)
	}
	says(t, s.operator(3, "requeued", "release", held.String(), "--reason", "again"), "not set aside")
	says(t, s.operator(0, "interventions"), "release", "ada", held.String(), "the session is ended")
}
