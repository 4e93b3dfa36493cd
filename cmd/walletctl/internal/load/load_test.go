package load_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/cmd/walletctl/internal/api"
	"github.com/walletd/walletd/cmd/walletctl/internal/fake"
	"github.com/walletd/walletd/cmd/walletctl/internal/load"
)

func start(t *testing.T) *fake.Server {
	s := fake.New()
	t.Cleanup(s.Close)
	return s
}

func openLoop() load.Config {
	return load.Config{Rate: 2000, Duration: 150 * time.Millisecond, Wallets: 1, WithdrawShare: 0.5,
		MaxInFlight: 300, Timeout: time.Minute, Drain: 60 * time.Millisecond, Seed: 1}
}

func run(t *testing.T, s *fake.Server, c load.Config) *load.Report {
	t.Helper()
	a, err := api.New(s.URL, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	c.URL = s.URL
	r := load.New(a, c)
	if err := r.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	report := r.Load(t.Context())
	r.Verify(t.Context(), report)
	return report
}

func TestAnHonestServicePasses(t *testing.T) {
	for name, change := range map[string]func(*load.Config, *fake.Server){
		"open loop":       func(*load.Config, *fake.Server) {},
		"several wallets": func(c *load.Config, _ *fake.Server) { c.Wallets = 7 },
		"keys":            func(c *load.Config, _ *fake.Server) { c.Keys = true },
		"closed loop":     func(c *load.Config, _ *fake.Server) { c.Rate, c.Connections, c.Duration = 0, 4, time.Second },
		"bulks":           func(c *load.Config, _ *fake.Server) { c.Rate, c.Bulk, c.Keys = 200, 10, true },
		"bulks of 202":    func(c *load.Config, s *fake.Server) { c.Rate, c.Bulk, c.Drain, s.HoldReads = 200, 10, time.Minute, 2 },
		"answers of 202":  func(c *load.Config, s *fake.Server) { c.Drain, s.HoldReads = time.Minute, 2 },
	} {
		t.Run(name, func(t *testing.T) {
			s, c := start(t), openLoop()
			change(&c, s)
			amounts := map[uuid.UUID]int64{}
			s.Distort = func(history []client.Operation) []client.Operation { // as it is
				for _, op := range history {
					amounts[op.OperationID] = op.Amount
				}
				return history
			}
			report := run(t, s, c)
			if !report.OK(true) {
				t.Fatalf("faults %+v, answers %+v", report.Verification.Faults, report.Answers)
			}
			if report.Verification.Operations != report.Answers.Sent || (c.Rate > 0 && report.Answers.Sent != 300) {
				t.Errorf("%d in the history, answers %+v", report.Verification.Operations, report.Answers)
			}
			for _, amount := range amounts {
				report.Answers.Amount -= amount
			}
			if report.Answers.Amount != 0 {
				t.Errorf("amounts of what was accepted: %d more than in the histories", report.Answers.Amount)
			}
			if s.HoldReads == 0 && (report.Verification.Failed == 0 || report.Answers.Refused != report.Verification.Failed) {
				t.Errorf("%d FAILED in the history, %d answers of 422", report.Verification.Failed, report.Answers.Refused)
			}
			if (s.HoldReads > 0) != (report.Verification.Followed > 0) || report.LatencyMs.P50 <= 0 {
				t.Errorf("report %+v", report)
			}
		})
	}
}

// first returns the index of the first operation of a type and status, from the
// hundredth on, where the balance is no longer near its start.
func first(ops []client.Operation, kind client.OperationType, status client.OperationStatus) int {
	return 100 + slices.IndexFunc(ops[100:], func(op client.Operation) bool {
		return op.OperationType == kind && op.Status == status
	})
}

func TestADistortedHistoryIsFound(t *testing.T) {
	type ops = []client.Operation
	for kind, distort := range map[string]func(ops) ops{
		"lost":    func(o ops) ops { return slices.Delete(o, 100, 101) },
		"gap":     func(o ops) ops { o[100].Sequence = new(int64(7)); return o },
		"balance": func(o ops) ops { o[100].BalanceAfter = new(*o[100].BalanceAfter + 1); return o },
		"applied_twice": func(o ops) ops {
			o[101].OperationID = o[100].OperationID
			return o
		},
		"unasked": func(o ops) ops { o[100].OperationID = uuid.New(); return o },
		"told_otherwise": func(o ops) ops {
			o[100].OperationID, o[101].OperationID = o[101].OperationID, o[100].OperationID
			return o
		},
		"status": func(o ops) ops {
			i := first(o, client.Withdraw, client.Failed)
			o[i].Reason = new(client.ReasonBalanceOverflow)
			return o
		},
		"order": func(o ops) ops {
			slices.Reverse(o)
			for i := range o {
				o[i].Sequence = new(int64(i + 1))
			}
			return o
		},
		"wallet":  func(o ops) ops { o[len(o)-1].BalanceAfter = new(int64(-1)); return o },
		"pending": func(o ops) ops { o[100].Status = client.Pending; return o },
	} {
		t.Run(kind, func(t *testing.T) {
			s := start(t)
			c := openLoop()
			c.Rate, c.Connections, c.Duration = 0, 2, 700*time.Millisecond // back to back, so that orders are known
			s.Distort = func(o ops) ops {
				if len(o) < 110 {
					return o // a busy machine has not come far; there is another try
				}
				return distort(o)
			}
			report := run(t, s, c)
			for report.Answers.Sent < 110 && c.Duration < time.Minute {
				c.Duration *= 2
				report = run(t, s, c)
			}
			if report.Verification.Faults.Counts[kind] == 0 || report.OK(false) {
				t.Errorf("faults %+v", report.Verification.Faults.Counts)
			}
		})
	}
}

func TestAnOperationDroppedAtTheEndIsLost(t *testing.T) {
	s := start(t)
	s.Distort = func(ops []client.Operation) []client.Operation { return ops[:len(ops)-1] }
	s.DistortWallet = func(w *client.Wallet) { w.Sequence-- }
	report := run(t, s, openLoop())
	if report.Verification.Faults.Counts["lost"] != 1 {
		t.Errorf("faults %+v", report.Verification.Faults)
	}
}

func TestAWrongAnswerIsFound(t *testing.T) {
	for name, distort := range map[string]func(*client.Operation){
		"balance":  func(op *client.Operation) { op.BalanceAfter = new(*op.BalanceAfter + 1) },
		"sequence": func(op *client.Operation) { op.Sequence = new(*op.Sequence + 1) },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.DistortOutcome = distort
			if report := run(t, s, openLoop()); report.Verification.Faults.Counts["told_otherwise"] != 300 {
				t.Errorf("faults %+v", report.Verification.Faults.Counts)
			}
		})
	}
	t.Run("operation", func(t *testing.T) {
		s, id := start(t), uuid.New()
		s.DistortOutcome = func(op *client.Operation) { op.OperationID = id }
		counts := run(t, s, openLoop()).Verification.Faults.Counts
		if counts["shared"] != 299 || counts["unasked"] != 300 || counts["lost"] != 1 {
			t.Errorf("faults %+v", counts)
		}
	})
}

// Within a bulk the order is promised too.
func TestABulkOutOfOrderIsFound(t *testing.T) {
	s := start(t)
	s.DistortOutcome = func(op *client.Operation) {
		op.Status, op.Sequence, op.BalanceAfter, op.Reason = client.Pending, nil, nil, nil
	}
	s.Distort = func(o []client.Operation) []client.Operation {
		o[100].OperationID, o[101].OperationID = o[101].OperationID, o[100].OperationID
		return o
	}
	c := openLoop()
	c.Rate, c.Connections, c.Bulk, c.WithdrawShare = 0, 1, 300, 0
	report := run(t, s, c)
	if counts := report.Verification.Faults.Counts; counts["order"] != 1 {
		t.Errorf("faults %+v", counts)
	}
}

func TestAWrongBalanceIsFound(t *testing.T) {
	s := start(t)
	s.DistortWallet = func(w *client.Wallet) { w.Balance++ }
	if report := run(t, s, openLoop()); report.Verification.Faults.Counts["wallet"] == 0 {
		t.Errorf("faults %+v", report.Verification.Faults)
	}
}

func TestRequestsWithoutAnAnswerAreCountedAndMayBeApplied(t *testing.T) {
	s := start(t)
	s.Fault = func(n int) fake.Fault {
		if n == 1 { // the wallet
			return fake.None
		}
		return fake.Fault(n % 10)
	}
	report := run(t, s, openLoop())
	a := report.Answers
	if a.None != 60 || a.Server != 30 || a.Overloaded != 30 || a.Errors["503 unavailable"] != 30 {
		t.Errorf("answers %+v", a)
	}
	if !report.OK(false) || report.OK(true) {
		t.Errorf("faults %+v", report.Verification.Faults)
	}
	if report.Verification.Operations != a.OK+a.Refused+30 {
		t.Errorf("%d in the history, answers %+v", report.Verification.Operations, a)
	}
}
