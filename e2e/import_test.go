package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// statement writes a generated bank statement and returns each account's balance.
func statement(t *testing.T, path string, accounts, rows int) map[string]int64 {
	t.Helper()
	random := rand.New(rand.NewPCG(seed(t), 2))
	balances := map[string]int64{}
	var text strings.Builder
	text.WriteString("transaction_id,account,operation_type,amount,balance_after\n")
	for n := range rows {
		account, kind, amount := fmt.Sprintf("acc-%03d", random.IntN(accounts)), deposit, 1+random.Int64N(10_000)
		if balance := balances[account]; balance > 0 && random.IntN(2) == 0 {
			kind, amount = withdraw, 1+random.Int64N(balance)
			amount = -amount
		}
		balances[account] += amount
		fmt.Fprintf(&text, "%d,%s,%s,%d,%d\n", 1000+n, account, kind, max(amount, -amount), balances[account])
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return balances
}

// TestImportInterrupted imports a statement, kills walletd in the middle, stops the
// import, and imports again: everything is applied once.
func TestImportInterrupted(t *testing.T) {
	t.Parallel()
	s := startStack(t, 1)
	r := s.replicas[0]
	file := filepath.Join(t.TempDir(), "bank.csv")
	const accounts, rows = 60, 4000
	want := statement(t, file, accounts, rows)
	run := func(report string, more ...string) *exec.Cmd {
		cmd := exec.Command(walletctl(t), append([]string{"--url", r.url(""), "import", file, "--name", "bank", "--balance", "balance_after", "--report", report}, more...)...)
		cmd.Stderr = os.Stderr
		return cmd
	}
	dir := t.TempDir()
	first := run(filepath.Join(dir, "first.json"), "--give-up-after", "2s")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var over atomic.Bool
	go func() { _ = first.Wait(); over.Store(true); close(ended) }()
	eventually(t, "a third is applied", func() bool { return s.count("SELECT count(*) FROM operations") > rows/3 || over.Load() })
	r.kill()
	if over.Load() {
		t.Fatal("the import was over before the kill")
	}
	<-ended // gives up, for walletd is away
	done := s.count("SELECT count(*) FROM operations")
	if first.ProcessState.Success() || done >= rows {
		t.Errorf("the interrupted import ended with %v, %d of %d rows applied", first.ProcessState, done, rows)
	}
	r.start()
	r.ready()
	began := time.Now()
	output, err := run(filepath.Join(dir, "second.csv")).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	t.Logf("killed after %d rows; the second import of %d took %s\n%s", done, rows, time.Since(began).Round(time.Millisecond), output)
	s.drained()
	if n := s.count("SELECT count(*) FROM operations"); n != rows {
		t.Errorf("%d operations of %d rows", n, rows)
	}
	if n := s.count("SELECT count(*) FROM wallets"); n != int64(len(want)) {
		t.Errorf("%d wallets of %d accounts", n, len(want))
	}
	if n := s.count("SELECT count(*) FROM operations WHERE status <> 1"); n > 0 {
		t.Errorf("%d operations failed", n)
	}
	report, err := os.ReadFile(filepath.Join(dir, "second.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for account, balance := range want {
		if !strings.Contains(string(report), account+",") || !strings.Contains(string(report), fmt.Sprint(balance)) {
			t.Errorf("the report does not have %s with %d", account, balance)
		}
	}
	total := int64(0)
	for _, b := range want {
		total += b
	}
	if sum := s.count("SELECT sum(balance)::bigint FROM wallets"); sum != total {
		t.Errorf("the wallets hold %d, the accounts %d", sum, total)
	}
}
