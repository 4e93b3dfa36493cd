package applier_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

// A lock on a table (an index being made, a backup of some kinds) is no wallet's
// fault: the batch waits, and nobody is set aside.
func TestALockedTableMakesTheBatchWaitAndSetsNoWalletAside(t *testing.T) {
	t.Parallel()
	for _, lock := range []string{
		"operations IN SHARE MODE", "operations IN ACCESS EXCLUSIVE MODE",
		"wallets IN SHARE MODE", "wallets IN ACCESS EXCLUSIVE MODE",
	} {
		t.Run(lock, func(t *testing.T) {
			t.Parallel()
			w, db := newWorld(t, 1)
			one, other := w.created(), w.created()
			var reloads, lists atomic.Int32
			r := w.owning(impatient(t, db), withFaults(func(c simtest.Call) simtest.Fault {
				switch {
				case c.Method == "Partition":
					reloads.Add(1)
				case c.Batch != nil && len(c.Batch.Lists) > 0:
					lists.Add(1)
				}
				return simtest.None
			}))
			warm := []wallet.Operation{deposit(one, 1), deposit(other, 1)}
			w.append(warm[0])
			w.append(warm[1])
			r.outcome(warm[1])

			holder := connect(t, db.dsn)
			holder.exec(t, "BEGIN")
			holder.exec(t, "LOCK TABLE "+lock)
			ops := []wallet.Operation{deposit(one, 2), deposit(other, 3), deposit(one, 4)}
			for _, op := range ops {
				w.append(op)
			}
			before := reloads.Load()
			eventually(t, "the batch was dropped and begun anew several times", func() bool { return reloads.Load() >= before+3 })
			holder.exec(t, "ROLLBACK")
			for _, op := range ops {
				r.outcome(op)
			}
			if n := lists.Load(); n != 0 {
				t.Errorf("%d batches set a wallet aside", n)
			}
			b := w.settle()
			wantHistory(t, b, one, warm[0], ops[0], ops[2])
			wantHistory(t, b, other, warm[1], ops[1])
		})
	}
}

// impatient stands a replica on a ledger whose reads end soon.
func impatient(t testing.TB, db *database) func(*replica, *applier.Config) {
	t.Helper()
	cfg := embeddedtest.LedgerConfig(db.dsn)
	cfg.ReadTimeout = time.Second
	l, err := ledger.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return func(_ *replica, c *applier.Config) { c.Ledger = l }
}
