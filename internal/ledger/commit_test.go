package ledger_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// full returns a batch with everything in it that a batch can have, and what a
// refusal needs: funded has 100 at sequence 1, other has 5 at sequence 1.
func full(b *book) (batch *wallet.Batch, funded, other uuid.UUID) {
	funded, other = b.funded(100), b.funded(5)
	created, missing, aside, applied := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	b.listed(applied, request(applied, 1))
	moved := decide(wallet.State{Balance: 100, Sequence: 1}, funded, 50, -1000)
	first := decide(wallet.State{}, created, 7)
	direct := decide(wallet.State{Balance: 5, Sequence: 1}, other, 1)
	direct[0].Origin, direct[0].Receipt = wallet.Direct, wallet.NoReceipt
	ops := append(append(append(moved, first...), direct...), wallet.Refuse(request(missing, 3), now))
	return &wallet.Batch{
		Fence:      b.fence(1, 11),
		Creates:    []wallet.Creation{{ID: created, At: now}},
		Changes:    []wallet.Change{change(funded, 1, moved), change(created, 0, first), change(other, 1, direct)},
		Operations: ops,
		Lists: []wallet.ListChange{
			{List: head(aside, 2), Append: entries(request(aside, 1), request(aside, -2))},
			{List: head(applied, 0), Taken: []int64{b.read(applied).Entries[applied][0].Position}},
		},
	}, funded, other
}

func TestACommittedBatchIsThereWhole(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	batch, funded, _ := full(b)
	b.mustCommit(batch)
	s := b.read(funded)
	if got := s.Wallets[funded]; got != (wallet.State{Balance: 150, Sequence: 3}) {
		t.Errorf("wallet: %+v", got)
	}
	if b.next(0) != 11 {
		t.Errorf("offset %d", b.next(0))
	}
	for _, want := range batch.Operations {
		got, _, err := b.Operation(testContext(t), want.Key(), wallet.NoReceipt.Partition)
		if err != nil || got == nil || *got != want {
			t.Errorf("operation %+v, %v; want %+v", got, err, want)
		}
	}
	if got := b.read(batch.Lists[0].WalletID).Entries[batch.Lists[0].WalletID]; len(got) != 2 {
		t.Errorf("list: %+v", got)
	}
	if got := b.read(batch.Lists[1].WalletID).Entries; len(got) != 0 {
		t.Errorf("taken list: %+v", got)
	}
	// A batch that moves the offset has met all of it in the journal, what was direct too.
	if unjournaled, err := b.Unjournaled(testContext(t), uuid.Nil, 10); err != nil || len(unjournaled) != 0 {
		t.Errorf("unjournaled: %+v, %v", unjournaled, err)
	}
}

// Invariant 2: an operation and its balance are written together or not at all.
func TestARefusedBatchLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, refusal := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBook(t)
			batch, funded, other := full(b)
			good := *batch
			good.Fence, good.Changes, good.Operations = new(wallet.Fence), append([]wallet.Change(nil), batch.Changes...), append([]wallet.Operation(nil), batch.Operations...)
			*good.Fence, good.Creates = *batch.Fence, append([]wallet.Creation(nil), batch.Creates...)
			refusal.spoil(b, batch, funded, other)
			before := b.dump()
			wantKind(t, b.commit(batch), refusal.want)
			if after := b.dump(); after != before {
				t.Fatalf("something was written:\n%s\nbefore:\n%s", after, before)
			}
			if refusal.repair != "" {
				exec(t, b.conn, refusal.repair)
			}
			// The refusal leaves the connections in order, too.
			for range 3 {
				if _, err := b.Read(testContext(t), wallet.SnapshotQuery{Wallets: []uuid.UUID{funded}}); err != nil {
					t.Fatal(err)
				}
			}
			b.mustCommit(&good)
		})
	}
}

type refusal struct {
	want   error
	spoil  func(b *book, batch *wallet.Batch, funded, other uuid.UUID)
	repair string
}

var refusals = map[string]refusal{
	"fence moved": {wallet.ErrFenced, func(_ *book, batch *wallet.Batch, _, _ uuid.UUID) { batch.Fence.From = 0 }, ""},
	"fence ahead": {wallet.ErrFenced, func(_ *book, batch *wallet.Batch, _, _ uuid.UUID) { batch.Fence.From = 2 }, ""},
	"fence of another topic": {wallet.ErrFenced, func(_ *book, batch *wallet.Batch, _, _ uuid.UUID) {
		batch.Fence.Topic = uuid.New()
	}, ""},
	"fence of a partition that is not there": {wallet.ErrFenced, func(_ *book, batch *wallet.Batch, _, _ uuid.UUID) {
		batch.Fence.Partition = 99
	}, ""},
	"version moved": {wallet.ErrConflict, func(_ *book, batch *wallet.Batch, _, _ uuid.UUID) { batch.Changes[0].FromSequence = 0 }, ""},
	"wallet is not there": {wallet.ErrConflict, func(_ *book, batch *wallet.Batch, _, _ uuid.UUID) {
		batch.Changes[0].ID = uuid.New()
	}, ""},
	"wallet is already there": {wallet.ErrConflict, func(_ *book, batch *wallet.Batch, funded, _ uuid.UUID) {
		batch.Creates = append(batch.Creates, wallet.Creation{ID: funded, At: now})
	}, ""},
	"operation twice in the batch": {wallet.ErrConflict, func(_ *book, batch *wallet.Batch, _, _ uuid.UUID) {
		batch.Operations[1].ID = batch.Operations[0].ID
	}, ""},
	"operation is already there": {wallet.ErrConflict, func(b *book, batch *wallet.Batch, funded, _ uuid.UUID) {
		page, err := b.Operations(testContext(b.t), funded, wallet.Query{Limit: 1})
		if err != nil {
			b.t.Fatal(err)
		}
		batch.Operations[0].ID = page.Operations[0].ID
	}, ""},
	"sequence is already there": {wallet.ErrConflict, func(_ *book, batch *wallet.Batch, _, _ uuid.UUID) {
		batch.Operations[0].Sequence = 1
	}, ""},
	"negative balance": {wallet.ErrRefused, func(_ *book, batch *wallet.Batch, _, _ uuid.UUID) { batch.Changes[0].Balance = -1 }, ""},
	"balance beyond the largest": {wallet.ErrRefused, func(_ *book, batch *wallet.Batch, _, _ uuid.UUID) {
		batch.Changes[0].Balance = wallet.MaxAmount + 1
	}, ""},
	"amount zero": {wallet.ErrRefused, func(_ *book, batch *wallet.Batch, _, _ uuid.UUID) { batch.Operations[0].Amount = 0 }, ""},
	"amount beyond the largest": {wallet.ErrRefused, func(_ *book, batch *wallet.Batch, _, _ uuid.UUID) {
		batch.Operations[0].Amount = wallet.MaxAmount + 1
	}, ""},
	// All statements succeed and the transaction fails in its commit: what was
	// answered to the statements must not be taken for the commit.
	"deferred constraint": {wallet.ErrRefused, func(b *book, _ *wallet.Batch, _, _ uuid.UUID) {
		exec(b.t, b.conn, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'too late'; END $$`)
		exec(b.t, b.conn, `CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON wallets DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)
	}, `DROP TRIGGER late ON wallets`},
	"deferred constraint of the last statement": {wallet.ErrRefused, func(b *book, _ *wallet.Batch, _, _ uuid.UUID) {
		exec(b.t, b.conn, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'too late'; END $$`)
		exec(b.t, b.conn, `CREATE CONSTRAINT TRIGGER late AFTER DELETE ON requeued_lists DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)
	}, `DROP TRIGGER late ON requeued_lists`},
}

func TestABatchWithoutAnyRowIsCommitted(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	before := b.dump()
	b.mustCommit(&wallet.Batch{})
	if after := b.dump(); after != before {
		t.Fatalf("something was written:\n%s", after)
	}
	// Records may pass without leaving anything: duplicates, poison, backfills.
	b.mustCommit(&wallet.Batch{Fence: b.fence(0, 5)})
	if b.next(0) != 5 {
		t.Fatalf("offset %d", b.next(0))
	}
}

func TestAFenceMovesItsOwnPartitionOnly(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.mustCommit(&wallet.Batch{Fence: &wallet.Fence{Topic: b.topic.ID, Partition: 2, From: 0, To: 9}})
	for p, want := range []int64{0, 0, 9, 0} {
		if got := b.next(int32(p)); got != want {
			t.Errorf("partition %d is at %d, want %d", p, got, want)
		}
	}
}

func TestOfTwoBatchesFromOneOffsetOneIsFenced(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	const contenders = 8
	errs := make(chan error, contenders)
	for range contenders {
		go func() {
			id := uuid.New()
			ops := decide(wallet.State{}, id, 1)
			errs <- b.commit(&wallet.Batch{Fence: b.fence(0, 1), Creates: []wallet.Creation{{ID: id, At: now}}, Changes: []wallet.Change{change(id, 0, ops)}, Operations: ops})
		}()
	}
	committed := 0
	for range contenders {
		if err := <-errs; err == nil {
			committed++
		} else {
			wantKind(t, err, wallet.ErrFenced)
		}
	}
	var rows int
	if err := b.conn.QueryRow(testContext(t), "SELECT count(*) FROM operations").Scan(&rows); err != nil || committed != 1 || rows != 1 {
		t.Fatalf("%d committed, %d operations, %v", committed, rows, err)
	}
}
