package e2e_test

import (
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/audit"
	"github.com/walletd/walletd/internal/auditor"
	"github.com/walletd/walletd/internal/config"
)

// clean has journal, ledger and cache compared, as walletctl audit does, and fails
// the test on anything that differs. It may be called at any time, also under load.
func (s *stack) clean() {
	s.t.Helper()
	r := s.compared()
	if !r.Clean() {
		for _, f := range r.Findings[:min(len(r.Findings), 20)] {
			s.t.Error(f)
		}
		s.t.Errorf("the audit found %v", r.Totals)
	}
}

// compared is clean for a test that expects differences.
func (s *stack) compared() *audit.Report {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cfg, err := config.Load("../config.env", s.environ())
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := auditor.Run(ctx, cfg, auditor.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *stack) environ() (environ []string) {
	for k, v := range s.env() {
		environ = append(environ, k+"="+v)
	}
	return environ
}

// walletctl audit exits 0 when nothing differs, 5 with the difference named, 4 when
// a component is away, and 2 without a configuration.
func TestTheAuditCommand(t *testing.T) {
	t.Parallel()
	s := startStack(t, 1)
	id := s.wallet()
	expect(t, s.replicas[0].submit(id, deposit, 100), 200)
	run := func(environ []string, args ...string) (code int, out string) {
		cmd := exec.Command(walletctl(t), append([]string{"audit"}, args...)...)
		cmd.Env = environ
		output, err := cmd.Output()
		return exitCode(err), string(output)
	}
	if code, out := run(s.environ(), "--config", "../config.env"); code != 0 || !strings.Contains(out, "differences        0") {
		t.Errorf("exit %d: %s", code, out)
	}
	s.exec(s.dsn(), "UPDATE operations SET balance_after = 99")
	code, out := run(s.environ(), "--config", "../config.env", "--json", "--wallet", id.String())
	var r struct {
		OK       bool
		Findings []audit.Finding
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 5 || r.OK || len(r.Findings) == 0 || *r.Findings[0].WalletID != id || r.Findings[0].OperationID == nil || r.Findings[0].Offset == nil {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	if code, out := run(append(s.environ(), "WALLETD_POSTGRES_PORT=1"), "--config", "../config.env"); code != 4 || !strings.Contains(out, "not everything was looked at") {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, out := run(append(s.environ(), "WALLETD_POSTGRES_PORT=1"), "--config", "../config.env", "--json"); code != 4 || !strings.Contains(out, `"incomplete": "the audit is incomplete`) {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, out := run(s.environ(), "--config", "../config.env", "--wallet", uuid.NewString()); code != 3 {
		t.Errorf("a wallet that nobody has: exit %d: %s", code, out)
	}
	if code, out := run(s.environ(), "--config", "nowhere.env"); code != 2 {
		t.Errorf("exit %d: %s", code, out)
	}
}
