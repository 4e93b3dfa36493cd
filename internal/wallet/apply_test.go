package wallet_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/walletd/walletd/internal/wallet"
)

// Each property prints a -rapid.seed and a fail file on failure; either replays it.

var at = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)

// amounts draws from the edges as often as from the middle: the faults are there.
func amounts(least wallet.Amount) *rapid.Generator[wallet.Amount] {
	return rapid.OneOf(
		rapid.Map(rapid.Int64Range(int64(least), int64(least)+3), toAmount),
		rapid.Map(rapid.Int64Range(int64(wallet.MaxAmount)-3, int64(wallet.MaxAmount)), toAmount),
		rapid.Map(rapid.Int64Range(int64(least), int64(wallet.MaxAmount)), toAmount),
	)
}

func toAmount(v int64) wallet.Amount { return wallet.Amount(v) }

var states = rapid.Custom(func(t *rapid.T) wallet.State {
	return wallet.State{Balance: amounts(0).Draw(t, "balance"), Sequence: rapid.Int64Range(0, 1<<40).Draw(t, "sequence")}
})

var operations = rapid.Custom(func(t *rapid.T) wallet.Operation {
	return wallet.Operation{
		ID: uuid.New(), WalletID: uuid.New(), AcceptedAt: at, Receipt: wallet.Receipt{Partition: 1, Offset: 2},
		Type:   rapid.SampledFrom([]wallet.Type{wallet.Deposit, wallet.Withdraw}).Draw(t, "type"),
		Amount: amounts(1).Draw(t, "amount"),
	}
})

func TestABalanceStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := wallet.State{}
		for range rapid.IntRange(1, 50).Draw(t, "operations") {
			s, _ = wallet.Apply(s, operations.Draw(t, "operation"), at)
			if s.Balance < 0 || s.Balance > wallet.MaxAmount {
				t.Fatalf("balance %d", s.Balance)
			}
		}
	})
}

func TestEveryOperationTakesTheNextSequenceFailedOnesToo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, op := states.Draw(t, "state"), operations.Draw(t, "operation")
		after, done := wallet.Apply(before, op, at)
		if after.Sequence != before.Sequence+1 || done.Sequence != after.Sequence {
			t.Fatalf("sequence %d then %d, operation %d (%s)", before.Sequence, after.Sequence, done.Sequence, done.Status)
		}
		if done.BalanceAfter != after.Balance || !done.AppliedAt.Equal(at) {
			t.Fatalf("operation says balance %d at %s; wallet has %d", done.BalanceAfter, done.AppliedAt, after.Balance)
		}
	})
}

func TestAnOperationIsRefusedExactlyIfTheBalanceWouldLeaveItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, op := states.Draw(t, "state"), operations.Draw(t, "operation")
		refusedExactly(t, before, op)
		for _, edge := range []wallet.Amount{before.Balance, wallet.MaxAmount - before.Balance} {
			for by := range wallet.Amount(3) {
				if op.Amount = edge + by - 1; op.Amount < 1 || op.Amount > wallet.MaxAmount {
					continue
				}
				for _, op.Type = range []wallet.Type{wallet.Deposit, wallet.Withdraw} {
					refusedExactly(t, before, op)
				}
			}
		}
	})
}

func refusedExactly(t *rapid.T, before wallet.State, op wallet.Operation) {
	t.Helper()
	after, done := wallet.Apply(before, op, at)
	// Both are below 2^53: their sum and difference cannot leave an int64.
	want := int64(before.Balance) + signed(op)
	switch {
	case want < 0:
		expect(t, done, after, before, wallet.Failed, wallet.InsufficientFunds)
	case want > int64(wallet.MaxAmount):
		expect(t, done, after, before, wallet.Failed, wallet.BalanceOverflow)
	default:
		expect(t, done, after, wallet.State{Balance: wallet.Amount(want)}, wallet.Applied, wallet.NoReason)
	}
}

func expect(t *rapid.T, done wallet.Operation, after, balance wallet.State, status wallet.Status, reason wallet.Reason) {
	t.Helper()
	if done.Status != status || done.Reason != reason || after.Balance != balance.Balance {
		t.Fatalf("%s %q, balance %d; want %s %q, %d", done.Status, done.Reason, after.Balance, status, reason, balance.Balance)
	}
}

func TestTheBalanceIsTheSumOfWhatWasApplied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := states.Draw(t, "state")
		s, sum := start, int64(0)
		for range rapid.IntRange(0, 50).Draw(t, "operations") {
			var done wallet.Operation
			if s, done = wallet.Apply(s, operations.Draw(t, "operation"), at); done.Status == wallet.Applied {
				sum += signed(done)
			}
		}
		if int64(s.Balance-start.Balance) != sum {
			t.Fatalf("balance moved by %d, operations by %d", s.Balance-start.Balance, sum)
		}
	})
}

func TestApplyKeepsWhatWasAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		op := operations.Draw(t, "operation")
		_, done := wallet.Apply(states.Draw(t, "state"), op, at)
		if !done.SameRequest(op) || !done.AcceptedAt.Equal(op.AcceptedAt) || done.Receipt != op.Receipt || done.Origin != op.Origin {
			t.Fatalf("%+v became %+v", op, done)
		}
	})
}

func TestAnOutcomeDependsOnNothingButStateAndRequest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, op := states.Draw(t, "state"), operations.Draw(t, "operation")
		wantState, want := wallet.Apply(s, op, at)
		// An operation that already carries an outcome is decided anew, not believed.
		tainted := op
		tainted.Status, tainted.Reason, tainted.Sequence, tainted.BalanceAfter = wallet.Failed, wallet.WalletMissing, 77, 78
		if state, done := wallet.Apply(s, tainted, at); state != wantState || done != want {
			t.Fatalf("%+v, then %+v", want, done)
		}
	})
}

func TestARefusalForAMissingWalletHasNeitherSequenceNorBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, op := wallet.Apply(states.Draw(t, "state"), operations.Draw(t, "operation"), at)
		done := wallet.Refuse(op, at)
		if done.Status != wallet.Failed || done.Reason != wallet.WalletMissing || done.Sequence != 0 || done.BalanceAfter != 0 || !done.SameRequest(op) {
			t.Fatalf("%+v", done)
		}
	})
}

func TestOnlyAmountsFromOneToTheLargestAreValid(t *testing.T) {
	for _, a := range []wallet.Amount{1, 2, wallet.MaxAmount - 1, wallet.MaxAmount} {
		if !a.Valid() {
			t.Errorf("%d is refused", a)
		}
	}
	for _, a := range []wallet.Amount{-1 << 63, -1, 0, wallet.MaxAmount + 1, 1<<63 - 1} {
		if a.Valid() {
			t.Errorf("%d is accepted", a)
		}
	}
	// The largest integer whose neighbours a double-precision reader tells apart.
	if float64(wallet.MaxAmount)+1 == float64(wallet.MaxAmount) || int64(float64(wallet.MaxAmount)) != int64(wallet.MaxAmount) {
		t.Error("the largest amount is not exact as a double")
	}
}

func signed(op wallet.Operation) int64 {
	if op.Type == wallet.Withdraw {
		return -int64(op.Amount)
	}
	return int64(op.Amount)
}
