package applier_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// blocked waits until a batch waits for a lock that the test holds.
func (d *database) blocked(t testing.TB) {
	t.Helper()
	eventually(t, "a batch waits for the row", func() bool {
		var n int
		err := d.conn.QueryRow(testContext(t), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'walletd' AND wait_event_type = 'Lock'`).Scan(&n)
		return err == nil && n > 0
	})
}

// told is what a call of the direct way was told.
type told struct {
	op  wallet.Operation
	err error
}

func (r *replica) begin(ctx context.Context, op wallet.Operation) <-chan told {
	done := make(chan told, 1)
	go func() {
		out, err := r.tryDirect(ctx, op)
		done <- told{out, err}
	}()
	return done
}

// wantUntried fails unless err says that nothing of a call was applied.
func wantUntried(t testing.TB, err error, code wallet.Code) {
	t.Helper()
	var e *wallet.Error
	if !errors.As(err, &e) || e.Code != code || e.Fate != wallet.NotApplied {
		t.Errorf("%v; want %s, not applied", err, code)
	}
}

func wantApplied(t testing.TB, done <-chan told) {
	t.Helper()
	select {
	case d := <-done:
		if d.err != nil || d.op.Status != wallet.Applied {
			t.Errorf("direct: %+v, %v", d.op, d.err)
		}
	case <-time.After(patience):
		t.Error("a direct call does not end")
	}
}

// The direct way waits for the row; meanwhile the worker has to get hold of the
// wallet's lane and set it aside, or nothing of the partition is applied.
func TestARowHeldOnTheDirectWayHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	held, free := w.created(), w.created()
	r := w.owning()
	release := db.hold(t, held)
	direct := r.begin(testContext(t), deposit(held, 1))
	db.blocked(t)

	journaled, beside := deposit(held, 2), deposit(free, 9)
	w.append(journaled)
	w.append(beside) // the row is freed only behind its outcome
	wantOutcome(t, r.outcome(beside), wallet.Applied, wallet.NoReason, 1, 9)
	release()
	wantApplied(t, direct)
	r.outcome(journaled)
	b := w.settle()
	if got := b.Wallets[held]; got.Balance != 3 || got.Sequence != 2 {
		t.Errorf("the held wallet has %+v", got)
	}
}

// While the row is held, calls come and their callers go. Who has gone was told
// that nothing was applied, and so it must stay.
func TestCallsOfTheDirectWayWhoseCallerHasGoneAreNotTried(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	id := w.created()
	gone, tries := deposit(id, 100), make(chan bool, 10_000) // for each try of the first call, whether what has gone was in it
	first, second := deposit(id, 1), deposit(id, 2)
	r := w.replica(withFaults(func(c simtest.Call) simtest.Fault {
		if c.Method == "Commit" {
			tries <- has(c, gone.ID)
		}
		return simtest.None
	}))
	release := db.hold(t, id)
	live := []<-chan told{r.begin(testContext(t), first)}
	db.blocked(t)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := r.Direct(ended, gone)
	wantUntried(t, err, wallet.CodeOverloaded)
	live = append(live, r.begin(testContext(t), second))
	for range 3 { // who still waits tries again and again
		select {
		case <-tries:
		case <-time.After(patience):
			t.Fatal("the held row is not tried again")
		}
	}
	release()
	for _, done := range live {
		wantApplied(t, done)
	}
	b := w.books()
	if _, ok := b.Operations[gone.Key()]; ok {
		t.Error("applied for a caller that had gone")
	}
	wantHistory(t, b, id, first, second)
	r.close()
	close(tries)
	for tried := range tries {
		if tried {
			t.Error("tried for a caller that had gone")
		}
	}
}
