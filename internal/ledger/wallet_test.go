package ledger_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

func TestLookupsThatComeTogetherShareStatementsAndGetTheirOwnWallet(t *testing.T) {
	t.Parallel()
	b := newBook(t, func(c *ledger.Config) { c.ReadConnections = 8 })
	release := b.hold(`LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE`)
	// Whoever leaves is nothing to the others, the first one too.
	ctx, leave := context.WithCancel(testContext(t))
	gone := make(chan error, 1)
	go func() {
		_, err := b.Wallet(ctx, uuid.New())
		gone <- err
	}()
	b.waiting("Lock")
	leave()
	if err := <-gone; !errors.Is(err, wallet.ErrUnavailable) {
		t.Errorf("whoever left was told %v", err)
	}
	release()

	var ids []uuid.UUID
	for n := range 40 {
		ids = append(ids, b.funded(wallet.Amount(n+1)))
	}
	release = b.hold(`LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE`)
	var running sync.WaitGroup
	running.Go(func() { _, _ = b.Wallet(testContext(t), ids[0]) })
	eventually(t, "the statement waits", func() bool { return b.lockWaits() == 1 })
	for n, id := range ids {
		for range 3 {
			running.Go(func() {
				if w, err := b.Wallet(testContext(t), id); err != nil || w.ID != id || w.Balance != wallet.Amount(n+1) || w.Sequence != 1 || w.UpdatedAt != now {
					t.Errorf("wallet %d: %+v, %v", n, w, err)
				}
			})
			running.Go(func() {
				var known *wallet.Error
				if w, err := b.Wallet(testContext(t), uuid.New()); !errors.As(err, &known) || known.Code != wallet.CodeWalletNotFound {
					t.Errorf("one that is not there: %+v, %v", w, err)
				}
			})
		}
	}
	eventually(t, "the others wait to be looked up", func() bool { return b.Asking() == 6*len(ids) })
	if n := b.lockWaits(); n != 1 {
		t.Errorf("%d statements are under way", n)
	}
	release()
	running.Wait()
}

// lockWaits is how many statements of ours wait for a lock.
func (b *book) lockWaits() (n int) {
	b.t.Helper()
	err := b.conn.QueryRow(testContext(b.t), `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'walletd' AND wait_event_type = 'Lock'`).Scan(&n)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// A balance that somebody was told of is seen by whoever asks after that.
func TestALookupIsReadAfterItWasAskedFor(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.funded(1)
	stop := make(chan struct{})
	var others sync.WaitGroup
	defer others.Wait()
	defer close(stop)
	for range 8 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = b.Wallet(testContext(t), id)
				}
			}
		})
	}
	for n := int64(1); n <= 100; n++ {
		b.mustCommit(move(id, wallet.State{Balance: wallet.Amount(n), Sequence: n}, 1))
		if w, err := b.Wallet(testContext(t), id); err != nil || w.Sequence != n+1 {
			t.Fatalf("after the commit of %d: %+v, %v", n+1, w, err)
		}
	}
}

func TestOperationsThatAreAskedForTogetherShareAStatement(t *testing.T) {
	t.Parallel()
	b := newBook(t, func(c *ledger.Config) { c.ReadConnections = 8 })
	id := b.funded(100)
	ops := decide(funds, id, 1, 2, 3)
	b.mustCommit(&wallet.Batch{Changes: []wallet.Change{change(id, 1, ops)}, Operations: ops})
	release := b.hold(`LOCK TABLE operations IN ACCESS EXCLUSIVE MODE`)
	var running sync.WaitGroup
	ask := func(k wallet.Key, want *wallet.Operation) {
		running.Go(func() {
			got, err := b.Outcomes(testContext(t), []wallet.Key{k})
			if found := len(got) > 0; err != nil || found != (want != nil) || found && got[0] != *want {
				t.Errorf("%+v, %v; want %+v", got, err, want)
			}
		})
	}
	ask(ops[0].Key(), &ops[0])
	eventually(t, "the statement waits", func() bool { return b.lockWaits() == 1 })
	for i := range ops {
		ask(ops[i].Key(), &ops[i])
		ask(wallet.Key{WalletID: id, ID: uuid.New()}, nil)
	}
	eventually(t, "the others wait", func() bool { return b.AskingOperations() == 2*len(ops) })
	if n := b.lockWaits(); n != 1 {
		t.Errorf("%d statements are under way", n)
	}
	release()
	running.Wait()
}
