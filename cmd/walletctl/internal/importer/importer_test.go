package importer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/cmd/walletctl/internal/api"
	"github.com/walletd/walletd/cmd/walletctl/internal/fake"
	"github.com/walletd/walletd/cmd/walletctl/internal/importer"
	"github.com/walletd/walletd/cmd/walletctl/internal/statement"
)

const header = "id,account,type,amount,after\n"

// parse reads a file with balances.
func parse(t *testing.T, rows string) *statement.Statement {
	t.Helper()
	s, err := statement.Read(strings.NewReader(header+rows), statement.Columns{ID: "id", Account: "account",
		Type: "type", Amount: "amount", Balance: "after", Deposit: "DEPOSIT", Withdraw: "WITHDRAW"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// bank is a file of several accounts whose rows only come out right in order: a
// WITHDRAW of everything follows each DEPOSIT.
func bank(t *testing.T, accounts, pairs int) *statement.Statement {
	var rows strings.Builder
	for p := range pairs {
		for a := range accounts {
			amount := 10*a + p + 1
			fmt.Fprintf(&rows, "%d-%d-in,%d,DEPOSIT,%d,%d\n", a, p, a, amount, amount)
			fmt.Fprintf(&rows, "%d-%d-out,%d,WITHDRAW,%d,0\n", a, p, a, amount)
		}
	}
	return parse(t, rows.String())
}

func run(t *testing.T, ctx context.Context, s *fake.Server, file *statement.Statement, change ...func(*importer.Config)) (*importer.Report, error) {
	t.Helper()
	a, err := api.New(s.URL, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	config := importer.Config{Name: "bank.csv", Concurrency: 4, GiveUpAfter: time.Minute}
	for _, c := range change {
		c(&config)
	}
	return importer.New(a, config).Run(ctx, file)
}

func start(t *testing.T) *fake.Server {
	s := fake.New()
	t.Cleanup(s.Close)
	return s
}

func TestImportKeepsOrderAndAgrees(t *testing.T) {
	s := start(t)
	report, err := run(t, t.Context(), s, bank(t, 7, 20))
	if err != nil {
		t.Fatal(err)
	}
	if report.Applied != 280 || report.Failed != 0 || report.Comparison.Exact != 7 || report.Replayed != 0 {
		t.Errorf("got %+v %+v", report.Counts, report.Comparison)
	}
	if a := report.Each[3]; a.Account != "3" || a.Balance == nil || *a.Balance != 0 || a.Sequence != 40 {
		t.Errorf("account 3: %+v", a)
	}
}

func TestImportAgainAppliesNothing(t *testing.T) {
	s := start(t)
	for want := range 2 {
		report, err := run(t, t.Context(), s, bank(t, 3, 5))
		if err != nil {
			t.Fatal(err)
		}
		if report.Applied != 30 || report.Replayed != 30*want || s.Applied() != 30 || report.Comparison.Exact != 3 {
			t.Errorf("run %d: got %+v, the service has %d", want, report.Counts, s.Applied())
		}
	}
}

func TestImportGetsThroughFaults(t *testing.T) {
	s := start(t)
	s.Fault = func(n int) fake.Fault { return fake.Fault(n%13) % 5 * fake.Fault(n%2) }
	report, err := run(t, t.Context(), s, bank(t, 5, 8))
	if err != nil {
		t.Fatal(err)
	}
	if report.Applied != 80 || report.Replayed == 0 || s.Applied() != 80 || report.Comparison.Exact != 5 {
		t.Errorf("got %+v %+v, the service has %d", report.Counts, report.Comparison, s.Applied())
	}
}

func TestImportKilledInTheMiddleIsFinishedByTheNext(t *testing.T) {
	s := start(t)
	s.Fault = func(n int) fake.Fault {
		switch {
		case n < 60:
			return fake.None
		case n%2 == 0:
			return fake.DropAfter // accepted, but the importer is never told
		}
		return fake.DropBefore
	}
	report, err := run(t, t.Context(), s, bank(t, 5, 10),
		func(c *importer.Config) { c.GiveUpAfter = 200 * time.Millisecond })
	var gaveUp *importer.GaveUp
	if !errors.As(err, &gaveUp) || report.Sent >= 100 || report.Comparison.Incomplete == 0 {
		t.Fatalf("got %v, %+v", err, report.Counts)
	}
	s.Recover()
	report, err = run(t, t.Context(), s, bank(t, 5, 10))
	if err != nil || report.Applied != 100 || s.Applied() != 100 || report.Comparison.Exact != 5 {
		t.Errorf("got %v %+v, the service has %d", err, report.Counts, s.Applied())
	}
}

func TestImportInterruptedStopsCleanly(t *testing.T) {
	s := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.Fault = func(n int) fake.Fault {
		if n == 40 {
			cancel()
		}
		return fake.None
	}
	report, err := run(t, ctx, s, bank(t, 5, 10))
	if !errors.Is(err, importer.ErrInterrupted) {
		t.Fatalf("got %v", err)
	}
	if report.Sent != s.Applied() || report.Sent == 100 {
		t.Errorf("%d told, the service has %d: an answer was thrown away", report.Sent, s.Applied())
	}
}

func TestImportFollowsOpenOutcomes(t *testing.T) {
	s := start(t)
	s.HoldReads = 3
	report, err := run(t, t.Context(), s, bank(t, 3, 6))
	if err != nil {
		t.Fatal(err)
	}
	if report.AnsweredPending == 0 || report.Resolved != report.AnsweredPending || report.Applied != 36 || report.Comparison.Exact != 3 {
		t.Errorf("got %+v", report.Counts)
	}
}

func TestImportGivesUpOnOutcomesThatNeverCome(t *testing.T) {
	s := start(t)
	s.HoldReads = 1 << 30
	report, err := run(t, t.Context(), s, bank(t, 2, 3),
		func(c *importer.Config) { c.GiveUpAfter = time.Second })
	var gaveUp *importer.GaveUp
	if !errors.As(err, &gaveUp) || report.Unresolved != 12 || report.Sent != 12 {
		t.Errorf("got %v, %+v", err, report.Counts)
	}
}

func TestImportReportsFailuresAndDifferences(t *testing.T) {
	s := start(t)
	file := parse(t, "1,poor,WITHDRAW,5,-5\n2,poor,DEPOSIT,5,5\n"+
		"3,drifts,DEPOSIT,103,100\n4,drifts,DEPOSIT,104,200\n"+
		"5,far,DEPOSIT,100,96\n6,opened,DEPOSIT,1,51\n")
	report, err := run(t, t.Context(), s, file, func(c *importer.Config) { c.Tolerance = 4 })
	if err != nil {
		t.Fatal(err)
	}
	want := []importer.Agreement{importer.Differs, importer.Within, importer.Within, importer.Differs}
	for i, a := range report.Each {
		if a.Agreement != want[i] {
			t.Errorf("%s: %s, want %s", a.Account, a.Agreement, want[i])
		}
	}
	poor := report.Each[0]
	if len(poor.Failures) != 1 || poor.Failures[0] != (importer.RowFailure{Line: 2, ID: "1", Reason: "insufficient_funds"}) {
		t.Errorf("failures %+v", poor.Failures)
	}
	if d := poor.FirstDifference; d == nil || d.ID != "1" || d.Balance != 0 || d.Want != -5 {
		t.Errorf("difference %+v", d)
	}
	if report.Each[3].OpeningBalance != 50 {
		t.Errorf("opening balance %d, want 50", report.Each[3].OpeningBalance)
	}
}

func TestImportNamesRowsThatChangedSinceTheLastImport(t *testing.T) {
	s := start(t)
	if _, err := run(t, t.Context(), s, parse(t, "1,a,DEPOSIT,5,5\n2,a,DEPOSIT,5,10\n")); err != nil {
		t.Fatal(err)
	}
	report, err := run(t, t.Context(), s, parse(t, "1,a,DEPOSIT,6,6\n2,a,DEPOSIT,5,11\n"))
	if err != nil || report.Refused != 1 || report.Reasons[string(client.CodeIdempotencyKeyReused)] != 1 || s.Applied() != 2 {
		t.Errorf("got %v %+v %v", err, report.Counts, report.Reasons)
	}
}

// What was refused under the row's key once is another request's outcome, not this one's.
func TestImportDoesNotTakeAReusedKeysFailureForTheRows(t *testing.T) {
	s := start(t)
	if _, err := run(t, t.Context(), s, parse(t, "1,a,DEPOSIT,5,5\n2,a,WITHDRAW,6,5\n")); err != nil {
		t.Fatal(err)
	}
	report, err := run(t, t.Context(), s, parse(t, "1,a,DEPOSIT,5,5\n2,a,DEPOSIT,100,105\n"))
	if err != nil || report.Failed != 0 || report.Refused != 1 || report.Reasons[string(client.CodeIdempotencyKeyReused)] != 1 || report.Comparison.Exact != 0 {
		t.Errorf("got %v %+v %v %+v", err, report.Counts, report.Reasons, report.Comparison)
	}
}

// A row that was refused without a trace is sent again by the next run: what comes behind
// it must not have been sent before.
func TestImportSendsNothingBehindARowThatIsNotInTheHistory(t *testing.T) {
	s := start(t)
	s.Fault = func(n int) fake.Fault {
		if n == 2 { // the first row, behind the wallet's creation
			return fake.Forgotten
		}
		return fake.None
	}
	file := "1,a,DEPOSIT,100,100\n2,a,WITHDRAW,60,40\n3,b,DEPOSIT,1,1\n"
	one := func(c *importer.Config) { c.Concurrency = 1 }
	report, err := run(t, t.Context(), s, parse(t, file), one)
	if err != nil || report.Refused != 1 || report.Sent != 2 || report.Applied != 1 {
		t.Errorf("got %v %+v", err, report.Counts)
	}
	report, err = run(t, t.Context(), s, parse(t, file), one)
	if err != nil || report.Applied != 3 || report.Comparison.Exact != 2 {
		t.Errorf("then %v %+v %+v", err, report.Counts, report.Comparison)
	}
}

func TestImportSeesABalanceThatIsNotTheLastOperations(t *testing.T) {
	s := start(t)
	s.DistortWallet = func(w *client.Wallet) { w.Balance++ }
	report, err := run(t, t.Context(), s, bank(t, 1, 1))
	if err != nil || report.Comparison.Differ != 1 {
		t.Errorf("got %v %+v", err, report.Comparison)
	}
}
