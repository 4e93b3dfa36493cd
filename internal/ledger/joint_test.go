package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

// jam is a ledger with a transaction under way that waits for somebody's lock. What
// is committed now waits for it, a moment.
type jam struct {
	*book
	release func()
	jammed  <-chan error
}

func newJam(t *testing.T) *jam {
	t.Helper()
	j := &jam{book: newBook(t, func(c *ledger.Config) { c.LockTimeout = time.Minute })}
	j.JoinWithin(time.Minute)
	id := j.funded(funds.Balance)
	j.release = j.hold(holdWallet, id)
	j.jammed = j.start(0, id)
	j.waiting("Lock")
	return j
}

// start commits a deposit of 1 that moves the partition from 0 to 1.
func (b *book) start(partition int32, id uuid.UUID) <-chan error {
	b.t.Helper()
	batch := move(id, funds, 1)
	batch.Fence = b.fence(0, 1)
	batch.Fence.Partition = partition
	return b.going(batch)
}

func (b *book) going(batch *wallet.Batch) <-chan error {
	result := make(chan error, 1)
	go func() { result <- b.commit(batch) }()
	return result
}

// joins commits the batches during that transaction, then lets it end, and returns
// the results.
func (j *jam) joins(batches ...*wallet.Batch) []error {
	j.t.Helper()
	var results []<-chan error
	for i, b := range batches {
		results = append(results, j.going(b))
		eventually(j.t, "the batch waits to be joined", func() bool { return j.Joining() == i+1 })
	}
	j.release()
	var errs []error
	for _, r := range results {
		errs = append(errs, <-r)
	}
	if err := <-j.jammed; err != nil {
		j.t.Error(err)
	}
	return errs
}

// batchFor is a deposit of 1 to a new wallet, with the fence of a partition.
func (j *jam) batchFor(partition int32, from int64) *wallet.Batch {
	j.t.Helper()
	b := move(j.funded(funds.Balance), funds, 1)
	b.Fence = j.fence(from, from+1)
	b.Fence.Partition = partition
	return b
}

// transaction is the one that wrote an operation.
func (j *jam) transaction(op wallet.Operation) (xid string) {
	j.t.Helper()
	err := j.conn.QueryRow(testContext(j.t), `SELECT xmin FROM operations WHERE wallet_id = $1 AND operation_id = $2`, op.WalletID, op.ID).Scan(&xid)
	if err != nil {
		j.t.Fatal(err)
	}
	return xid
}

func TestBatchesOfPartitionsThatWaitShareATransaction(t *testing.T) {
	t.Parallel()
	j := newJam(t)
	x, y := j.batchFor(3, 0), j.batchFor(2, 0)
	if errs := j.joins(x, y); slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		t.Fatal(errs)
	}
	if of, other := j.transaction(x.Operations[0]), j.transaction(y.Operations[0]); of != other {
		t.Errorf("transactions %s and %s", of, other)
	}
	if j.next(2) != 1 || j.next(3) != 1 {
		t.Errorf("offsets %d and %d", j.next(2), j.next(3))
	}
	for _, b := range []*wallet.Batch{x, y} {
		if got := j.read(b.Changes[0].ID).Wallets[b.Changes[0].ID]; got != b.Changes[0].State {
			t.Errorf("%+v, want %+v", got, b.Changes[0].State)
		}
	}
}

// One partition's refusal is not another's.
func TestARefusalInAJointTransactionIsItsOwnBatchs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*jam, *wallet.Batch)
		want  error
	}{
		"fence":   {func(_ *jam, b *wallet.Batch) { b.Fence.From = 5 }, wallet.ErrFenced},
		"version": {func(_ *jam, b *wallet.Batch) { b.Changes[0].FromSequence = 9 }, wallet.ErrConflict},
		"a block that cannot be read": {func(j *jam, b *wallet.Batch) {
			exec(j.t, j.conn, fmt.Sprintf(`CREATE FUNCTION unreadable() RETURNS trigger LANGUAGE plpgsql AS $$
				BEGIN RAISE 'could not read block' USING ERRCODE = 'io_error'; END $$;
				CREATE TRIGGER unreadable BEFORE INSERT ON operations FOR EACH ROW WHEN (NEW.wallet_id = '%s') EXECUTE FUNCTION unreadable()`, b.Changes[0].ID))
		}, wallet.ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, first := range []bool{true, false} {
				j := newJam(t)
				good, bad := j.batchFor(2, 0), j.batchFor(3, 0)
				c.spoil(j, bad)
				order := []*wallet.Batch{good, bad}
				if first {
					slices.Reverse(order)
				}
				errs := j.joins(order...)
				if first {
					slices.Reverse(errs)
				}
				if errs[0] != nil {
					t.Errorf("the other batch: %v", errs[0])
				}
				wantKind(t, errs[1], c.want)
				if j.next(2) != 1 || j.next(3) != 0 {
					t.Errorf("offsets %d and %d", j.next(2), j.next(3))
				}
			}
		})
	}
}

// A joint transaction that is cut off is of unknown outcome for each of its batches.
func TestAJointTransactionOfUnknownOutcomeIsThatForAll(t *testing.T) {
	t.Parallel()
	j := newJam(t)
	x, y := j.batchFor(2, 0), j.batchFor(3, 0)
	release := j.hold(holdWallet, x.Changes[0].ID)
	defer release()
	results := []<-chan error{j.going(x)}
	eventually(t, "the first waits", func() bool { return j.Joining() == 1 })
	results = append(results, j.going(y))
	eventually(t, "both wait", func() bool { return j.Joining() == 2 })
	j.release()
	if err := <-j.jammed; err != nil {
		t.Error(err)
	}
	exec(t, j.conn, "SELECT pg_terminate_backend($1)", j.waiting("Lock"))
	for _, r := range results {
		wantKind(t, <-r, wallet.ErrUnavailable)
	}
	j.mustCommit(j.batchFor(2, 0))
}

// A transaction that waits for somebody's lock holds nobody up for longer than a
// moment; the first that goes beside it takes along who waits.
func TestBatchesOvertakeATransactionThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	j := newJam(t)
	results := []<-chan error{j.going(j.batchFor(1, 0)), j.going(j.batchFor(2, 0))}
	eventually(t, "both wait", func() bool { return j.Joining() == 2 })
	j.JoinWithin(time.Millisecond)
	x := j.batchFor(3, 0)
	j.mustCommit(x)
	for _, r := range results {
		if err := <-r; err != nil {
			t.Error(err)
		}
	}
	if j.next(1) != 1 || j.next(2) != 1 || j.next(3) != 1 {
		t.Error("an offset did not move")
	}
	j.release()
	if err := <-j.jammed; err != nil {
		t.Error(err)
	}
	j.mustCommit(j.batchFor(3, 1))
}

// Every batch is told its own outcome, however many come at once.
func TestManyPartitionsCommitAtOnce(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.JoinWithin(time.Millisecond) // so that all ways are gone
	var running sync.WaitGroup
	for p := range int32(partitions) {
		id := b.funded(funds.Balance)
		running.Go(func() {
			for n := range int64(100) {
				batch := move(id, wallet.State{Balance: funds.Balance + wallet.Amount(n), Sequence: 1 + n}, 1)
				batch.Fence = &wallet.Fence{Topic: b.topic.ID, Partition: p, From: n, To: n + 1}
				if n%10 == 5 {
					stale := *batch
					stale.Changes = slices.Clone(batch.Changes)
					stale.Changes[0].FromSequence--
					if err := b.commit(&stale); !errors.Is(err, wallet.ErrConflict) {
						t.Errorf("partition %d, batch %d with a version that moved: %v", p, n, err)
					}
				}
				if err := b.commit(batch); err != nil {
					t.Errorf("partition %d, batch %d: %v", p, n, err)
					return
				}
			}
		})
	}
	running.Wait()
	for p := range int32(partitions) {
		if b.next(p) != 100 {
			t.Errorf("partition %d is at %d", p, b.next(p))
		}
	}
}

// expecting is a ledger that waits for the partitions' batches, which are on their way,
// as long as it takes.
func expecting(t *testing.T, partitions ...int32) *jam {
	t.Helper()
	j := &jam{book: newBook(t)}
	j.JoinWithin(time.Minute)
	j.ExpectWithin(time.Minute)
	j.expect(partitions...)
	return j
}

// expect says that a small batch of each partition is on its way.
func (j *jam) expect(partitions ...int32) {
	for _, p := range partitions {
		j.Expect(wallet.ExpectedBatch{Partition: p, Operations: 1})
	}
}

func TestBatchesThatAreExpectedShareATransaction(t *testing.T) {
	t.Parallel()
	j := expecting(t, 0, 1, 2)
	var batches []*wallet.Batch
	var results []<-chan error
	for p := range int32(3) {
		b := j.batchFor(p, 0)
		batches, results = append(batches, b), append(results, j.going(b))
		if p < 2 {
			eventually(t, "the batch waits for the others", func() bool { return j.Joining() == int(p)+1 })
		}
	}
	for i, r := range results {
		if err := <-r; err != nil {
			t.Fatal(err)
		}
		if of, other := j.transaction(batches[0].Operations[0]), j.transaction(batches[i].Operations[0]); of != other {
			t.Errorf("transactions %s and %s", of, other)
		}
	}
	j.mustCommit(j.batchFor(0, 1)) // nobody is expected any more
}

// Who comes while a transaction is under way waits for the expected ones too.
func TestTheNextTransactionWaitsForThoseThatAreExpected(t *testing.T) {
	t.Parallel()
	j := newJam(t)
	j.ExpectWithin(time.Minute)
	x, y := j.batchFor(2, 0), j.batchFor(3, 0)
	j.expect(2, 3)
	first := j.going(x)
	eventually(t, "the batch waits", func() bool { return j.Joining() == 1 })
	j.release()
	if err := <-j.jammed; err != nil {
		t.Fatal(err)
	}
	second := j.going(y)
	for _, r := range []<-chan error{first, second} {
		if err := <-r; err != nil {
			t.Fatal(err)
		}
	}
	if of, other := j.transaction(x.Operations[0]), j.transaction(y.Operations[0]); of != other {
		t.Errorf("transactions %s and %s", of, other)
	}
}

// One that does not come is not waited for, whatever became of it.
func TestAnExpectedBatchThatDoesNotComeHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	j := expecting(t, 0, 1, 2)
	j.ExpectWithin(time.Millisecond)
	j.mustCommit(j.batchFor(0, 0))
	j.ExpectWithin(time.Minute)
	j.mustCommit(j.batchFor(0, 1)) // and is forgotten
}

// One that was waited for may have begun in time after all.
func TestABatchIsWaitedForByOneTransaction(t *testing.T) {
	t.Parallel()
	j := newJam(t)
	j.ExpectWithin(time.Minute)
	j.expect(2)
	x := j.going(j.batchFor(2, 0))
	eventually(t, "the batch waits for the transaction under way", func() bool { return j.Joining() == 1 })
	j.release()
	for _, r := range []<-chan error{j.jammed, x} {
		if err := <-r; err != nil {
			t.Error(err)
		}
	}
	begun := j.Begun()
	j.expect(2, 3)
	y := j.going(j.batchFor(2, 1))
	eventually(t, "the batch waits for the other", func() bool { return j.Joining() == 1 })
	j.Overdue(begun - 1)
	if j.Joining() != 1 {
		t.Error("a timer that came late has ended the wait of the next transaction")
	}
	j.Overdue(begun)
	if err := <-y; err != nil {
		t.Error(err)
	}
}

// Who comes again, or was not expected, does not stand for another.
func TestABatchIsWaitedForUntilItComesItself(t *testing.T) {
	t.Parallel()
	j := expecting(t, 1)
	x, y := j.batchFor(0, 0), j.batchFor(1, 0)
	first := j.going(x)
	eventually(t, "it waits for the other", func() bool { return j.Joining() == 1 })
	for _, err := range []error{<-j.going(y), <-first} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if of, other := j.transaction(x.Operations[0]), j.transaction(y.Operations[0]); of != other {
		t.Errorf("transactions %s and %s", of, other)
	}
}

// Who has so much that it goes alone is not waited for.
func TestABatchThatWillGoAloneIsNotExpected(t *testing.T) {
	t.Parallel()
	j := expecting(t, 0)
	j.Expect(wallet.ExpectedBatch{Partition: 1, Operations: ledger.AloneOperations})
	j.mustCommit(j.batchFor(0, 0))
}

// Nor is one that turns out to: it has a list, or has become long meanwhile.
func TestABatchThatGoesAloneIsNotExpectedAnyMore(t *testing.T) {
	t.Parallel()
	j := expecting(t)
	listed, other := j.batchFor(1, 0), uuid.New()
	listed.Lists = []wallet.ListChange{{List: head(other, 1), Append: entries(request(other, 1))}}
	long, id := j.batchFor(2, 0), j.funded(funds.Balance)
	long.Operations = decide(funds, id, slices.Repeat([]wallet.Amount{1}, ledger.AloneOperations)...)
	long.Changes = []wallet.Change{change(id, funds.Sequence, long.Operations)}
	for n, alone := range []*wallet.Batch{listed, long} {
		j.expect(0, alone.Fence.Partition)
		small := j.going(j.batchFor(0, int64(n)))
		eventually(t, "it waits for the other", func() bool { return j.Joining() == 1 })
		j.mustCommit(alone)
		if err := <-small; err != nil {
			t.Error(err)
		}
	}
}
