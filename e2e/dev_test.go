package e2e_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childrenOf returns the processes that run on data below dir, without pid itself.
func childrenOf(t *testing.T, dir string, pid int) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil || n == pid {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && bytes.Contains(line, []byte(dir)) {
			pids = append(pids, n)
		}
	}
	return pids
}

// TestDevServesFromOneCommandAndKeepsItsData runs `walletd dev`: components and service from one command.
func TestDevServesFromOneCommandAndKeepsItsData(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	r := newReplica(t, "dev", map[string]string{"WALLETD_WAIT": "5s"}, "dev", "--dir", dir)
	began := time.Now()
	r.start()
	// Who is told what to try gets a wallet, also in the first moment.
	eventually(t, "it says what to try", func() bool { return strings.Contains(r.current().output(), "Try it") })
	expect(t, r.do(http.MethodPost, "/api/v1/wallet/create", nil), http.StatusCreated)
	r.ready()
	t.Logf("first start: ready after %s", time.Since(began).Round(time.Millisecond))
	s := &stack{t: t, replicas: []*replica{r}}
	ids := s.wallets(4)

	l := s.start(load{wallets: ids, rate: 200, repeat: true})
	elapse(2500 * time.Millisecond)
	r.kill()
	killed := time.Now()
	if !within(5*time.Second, func() bool { return len(childrenOf(t, dir, 0)) == 0 }) {
		t.Errorf("still running after kill -9: %v", childrenOf(t, dir, 0))
	}
	r.start()
	r.ready()
	t.Logf("after kill -9: ready after %s", time.Since(killed).Round(time.Millisecond))
	elapse(time.Second)
	sends := l.stop()
	t.Log(summary(sends))
	only(t, sends, 200, 202, 422)
	balances := map[string]int64{}
	for _, id := range ids {
		s.eventuallyApplied(sends)
		s.audit(id, sends)
		balances[id.String()] = value(expect(t, r.get(walletPath(id)), 200).doc.Balance)
	}

	// Ctrl-C reaches the whole process group of a terminal.
	group := r.current()
	_ = syscall.Kill(-group.process.Pid, syscall.SIGINT)
	select {
	case <-group.ended:
		if group.exit != nil {
			t.Errorf("ctrl-C: %v\n%s", group.exit, tail(group.output()))
		}
	case <-time.After(patience):
		t.Fatalf("ctrl-C: does not stop\n%s", tail(group.output()))
	}
	if left := childrenOf(t, dir, 0); len(left) > 0 {
		t.Errorf("ctrl-C left %v", left)
	}
	began = time.Now()
	r.start()
	t.Logf("second start: serves after %s", time.Since(began).Round(time.Millisecond))
	r.ready()
	for _, id := range ids {
		if a := expect(t, r.get(walletPath(id)), 200); value(a.doc.Balance) != balances[id.String()] {
			t.Errorf("balance %v, before %d", a, balances[id.String()])
		}
	}
	// What it writes for operators is enough for them.
	audit := exec.Command(walletctl(t), "audit", "--config", filepath.Join(dir, "operators.env"))
	audit.Dir = t.TempDir()
	if out, err := audit.CombinedOutput(); err != nil || !strings.Contains(string(out), "differences        0") {
		t.Errorf("audit: %v\n%s", err, out)
	}
	if out := r.current().output(); !strings.Contains(out, "curl -sX POST http://"+strings.TrimPrefix(r.url(""), "http://")) {
		t.Errorf("it does not say how to try it:\n%s", out)
	}
}

// eventuallyApplied waits until what was answered 202 is in the history.
func (s *stack) eventuallyApplied(sends []*send) {
	s.t.Helper()
	eventually(s.t, "all is applied", func() bool { return len(pendingFor(s, sends)) == 0 })
}

func TestDevSaysWhichPortIsInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := filepath.Join(t.TempDir(), "data")
	for _, variable := range []string{"WALLETD_HTTP_ADDRESS", "WALLETD_PPROF_ADDRESS", "WALLETD_METRICS_ADDRESS"} {
		for _, command := range [][]string{{"dev", "--dir", dir}, {"serve"}} {
			cmd := exec.Command(walletd(t), append([]string{"--config", "../config.env"}, command...)...)
			cmd.Env = os.Environ()
			for _, v := range []string{"WALLETD_HTTP_ADDRESS", "WALLETD_PPROF_ADDRESS", "WALLETD_METRICS_ADDRESS"} {
				address := "127.0.0.1:0"
				if v == variable {
					address = taken.Addr().String()
				}
				cmd.Env = append(cmd.Env, v+"="+address)
			}
			output, err := cmd.CombinedOutput()
			if exitCode(err) == 0 || !strings.Contains(string(output), variable+": "+taken.Addr().String()+" is in use") {
				t.Errorf("%s, %v: %s", command[0], err, output)
			}
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("data were made although a port was in use")
	}
}

func TestConfigurationFaultsAreReportedTogether(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(walletd(t), "--config", "../config.env", "serve")
	cmd.Env = append(os.Environ(), "WALLETD_WAIT=31s", "WALLETD_POSTGRES_PORT=many", "WALLETD_KAFKA_PARTITION=3", "WALLETD_POSTGRES_PASSWORD=s3cret-one")
	output, err := cmd.CombinedOutput()
	if exitCode(err) != 2 {
		t.Errorf("exit: %v", err)
	}
	for _, want := range []string{"WALLETD_POSTGRES_PORT", "WALLETD_KAFKA_PARTITION"} {
		if !strings.Contains(string(output), want) {
			t.Errorf("%s is not named:\n%s", want, output)
		}
	}
	if strings.Contains(string(output), "s3cret") {
		t.Errorf("a secret is shown:\n%s", output)
	}
	fmt.Fprintln(os.Stderr, strings.TrimSpace(string(output)))
}
