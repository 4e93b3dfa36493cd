package accept

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// inShard is a new id of the given shard of the waiters.
func inShard(shard byte) uuid.UUID {
	id := uuid.New()
	id[15] = shard
	return id
}

func everyone(*waiter) bool { return true }

// However few one read asks for, and however many wait in vain, everybody's turn
// comes.
func TestOverdueReachesEveryWaiterHoweverFewAtATime(t *testing.T) {
	ws := newWaiters(func() time.Time { return time.Unix(0, 0) })
	waiting := map[uuid.UUID]bool{}
	for shard := range len(ws.shards) {
		op := wallet.Operation{ID: inShard(byte(shard)), WalletID: uuid.New()}
		ws.add(op)
		waiting[op.ID] = true
	}
	for range ws.shards {
		for _, key := range ws.overdue(time.Unix(1, 0), 1, everyone) {
			delete(waiting, key.ID)
		}
	}
	if len(waiting) != 0 {
		t.Errorf("%d of %d were never asked for", len(waiting), len(ws.shards))
	}
}

// Requests with one idempotency key wait for one operation: that the first of them
// is not due, or not journaled yet, is no reason to let the others wait.
func TestAnOperationIsAskedForIfAnyOfItsWaitersIsDue(t *testing.T) {
	now := time.Unix(0, 0)
	ws := newWaiters(func() time.Time { return now })
	op := wallet.Operation{ID: uuid.New(), WalletID: uuid.New()}
	ws.add(op)
	ws.add(op).journaled(wallet.Receipt{Partition: 4, Offset: 1}, nil)
	keys := ws.overdue(now.Add(time.Second), 10, func(w *waiter) bool { return w.place().Known() })
	if len(keys) != 1 || keys[0] != op.Key() {
		t.Errorf("asked for %v", keys)
	}
}

func TestRequestsThatWaitInVainKeepNobodyFromItsOutcome(t *testing.T) {
	inWorld(t, wide, func(t *testing.T, w *world) {
		w.balances.deaf = true
		const last = 63
		for i := range pollOperations + 100 { // set aside: no outcome for as long as they wait
			op := w.deposit(1)
			op.ID = inShard(byte(i % last))
			w.submit(t.Context(), op, 20*time.Second)
		}
		op := w.deposit(5)
		op.ID = inShard(last)
		answered := w.submit(t.Context(), op, 20*time.Second)
		for _, journaled := range w.journal.journaled() {
			if journaled.ID == op.ID {
				w.ledger.keep(journaled)
			}
		}
		defer w.run(t)()
		a := <-answered
		if a.err != nil || a.Operation.Status != wallet.Applied || a.after > time.Duration(len(w.waiters.shards)+2)*pollEvery {
			t.Errorf("%+v, %v after %s", a.Outcome, a.err, a.after)
		}
		<-time.After(30 * time.Second) // the others end by themselves
	})
}
