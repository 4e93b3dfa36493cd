package e2e_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// operator runs walletctl next to the stack's components, and fails the test unless
// it ends with the code.
func (s *stack) operator(code int, args ...string) string {
	s.t.Helper()
	cmd := exec.Command(walletctl(s.t), append(args, "--config", "../config.env")...)
	cmd.Env = os.Environ()
	for k, v := range s.env() {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	output, err := cmd.CombinedOutput()
	if exitCode(err) != code || err != nil && code == 0 {
		s.t.Fatalf("walletctl %s: %v, want %d\n%s", strings.Join(args, " "), err, code, output)
	}
	return string(output)
}

// says fails the test unless the text has all parts.
func says(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
}

// topicID is what the status shows of the topic in Kafka.
func (s *stack) topicID() string {
	s.t.Helper()
	var status struct{ Kafka struct{ TopicID string } }
	if err := json.Unmarshal([]byte(s.operator(0, "journal", "status", "--json")), &status); err != nil {
		s.t.Fatal(err)
	}
	return status.Kafka.TopicID
}

// TestAnOperatorAcceptsATopicThatWasMadeAnew while one replica runs and the other
// is frozen: what is asked for meanwhile is applied directly, and both go on with
// the new topic without being restarted.
func TestAnOperatorAcceptsATopicThatWasMadeAnew(t *testing.T) {
	t.Parallel()
	s := startStack(t, 2)
	awake, frozen, ids := s.replicas[0], s.replicas[1], s.wallets(4)
	for _, id := range ids {
		expect(t, awake.submit(id, deposit, 100), 200)
	}
	s.drained()
	says(t, s.operator(3, "journal", "accept-topic", "--topic-id", s.topicID(), "--reason", "none", "--yes"), "there is nothing to accept")

	_ = frozen.current().process.Signal(syscall.SIGSTOP)
	thaw := func() { _ = frozen.current().process.Signal(syscall.SIGCONT) }
	t.Cleanup(thaw)
	s.recreate()
	eventually(t, "the replica shows it", func() bool { return stopped(awake) })
	says(t, s.operator(0, "journal", "status"), s.topicID(), "the topic is another than the one the ledger follows")

	l := s.start(load{wallets: ids, rate: 100, to: func(int) *replica { return awake }})
	elapse(300 * time.Millisecond)
	began := time.Now()
	says(t, s.operator(0, "journal", "accept-topic", "--topic-id", s.topicID(), "--reason", "the disk is gone", "--by", "ada", "--yes"), "The ledger leaves topic")
	eventually(t, "the replica goes on", func() bool { h, err := awake.health(); return err == nil && h.up("kafka") })
	t.Logf("the replica goes on after %s", time.Since(began).Round(time.Millisecond))
	thaw()
	s.shared(s.replicas...)
	eventually(t, "the other goes on", func() bool { h, err := frozen.health(); return err == nil && h.up("kafka") })
	sends := l.stop()
	t.Log(summary(sends))
	only(t, sends, 200, 202, 422)
	s.drained()
	direct := 0
	for _, id := range ids {
		for _, op := range s.audit(id, sends) {
			if op.Origin == "direct" {
				direct++
			}
		}
		for _, r := range s.replicas {
			if a := expect(t, r.submit(id, deposit, 1, "Prefer", "wait=10"), 200); a.doc.Operation.Origin != "journal" {
				t.Errorf("%s answers %v", r.name, a)
			}
		}
	}
	if direct == 0 {
		t.Error("nothing was applied directly")
	}
	says(t, s.operator(0, "journal", "status"), "ledger follows  "+s.topic+", id "+s.topicID())
	says(t, s.operator(0, "interventions"), "journal_accept", "ada", "the disk is gone", s.topicID())
	s.drained()
	var audit struct{ Totals map[string]int }
	progress, report, _ := strings.Cut(s.operator(5, "audit", "--json"), "{")
	if err := json.NewDecoder(strings.NewReader("{" + report)).Decode(&audit); err != nil {
		t.Fatalf("%v in\n%s{%s", err, progress, report)
	}
	// What the lost topic had: the creations, and the first deposits.
	if want := map[string]int{"not_journaled": 2 * len(ids)}; !maps.Equal(audit.Totals, want) {
		t.Errorf("the audit counts %v, want %v", audit.Totals, want)
	}
}
