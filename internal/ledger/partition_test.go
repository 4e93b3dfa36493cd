package ledger_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

func TestALedgerFollowsTheFirstTopicItMeets(t *testing.T) {
	t.Parallel()
	l := open(t, embeddedtest.LedgerConfig(embeddedtest.Database(t)))
	if got, err := l.Topic(testContext(t)); err != nil || got != (wallet.Topic{}) {
		t.Fatalf("a new ledger follows %+v, %v", got, err)
	}
	// Replicas that meet it together agree on one.
	const replicas = 6
	got := make(chan wallet.Topic, replicas)
	for range replicas {
		go func() {
			followed, err := l.Follow(testContext(t), wallet.Topic{Name: "operations", ID: uuid.New(), Partitions: 3})
			if err != nil {
				t.Error(err)
			}
			got <- followed
		}()
	}
	want, err := l.Topic(testContext(t))
	for range replicas {
		first := <-got
		if want == (wallet.Topic{}) {
			want = first
		}
		if err != nil || first != want {
			t.Errorf("%+v and %+v, %v", first, want, err)
		}
	}
	if topic, err := l.Topic(testContext(t)); err != nil || topic != want {
		t.Errorf("%+v, %v; want %+v", topic, err, want)
	}
}

func TestAnotherTopicHasNoOffsets(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.mustCommit(&wallet.Batch{Fence: b.fence(0, 7)})
	_, err := b.Partition(testContext(t), uuid.New(), 0)
	wantKind(t, err, wallet.ErrTopicChanged)
	if b.next(0) != 7 {
		t.Errorf("offset %d", b.next(0))
	}
}

func TestAPartitionTellsItsOffsetAndItsLists(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	mine, other := uuid.New(), uuid.New()
	b.listed(mine, request(mine, 1), request(mine, 2))
	b.mustCommit(&wallet.Batch{
		Fence: &wallet.Fence{Topic: b.topic.ID, Partition: 1, From: 0, To: 1},
		Lists: []wallet.ListChange{{List: head(other, 1), Append: entries(request(other, 1))}},
	})
	p, err := b.Partition(testContext(t), b.topic.ID, 0)
	if err != nil || p.Next != 1 || len(p.Lists) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	got := p.Lists[0]
	got.NotBefore = got.NotBefore.UTC()
	if got != head(mine, 2) {
		t.Errorf("%+v, want %+v", got, head(mine, 2))
	}
}

func TestOffsetsTellsEveryPartitionAndFullListsThoseAtTheBound(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	full, short := uuid.New(), uuid.New()
	b.listed(full, request(full, 1), request(full, 2))
	b.listed(short, request(short, 1))
	offsets, err := b.Offsets(testContext(t))
	if err != nil || len(offsets) != partitions || offsets[0] != 2 || offsets[1] != 0 {
		t.Errorf("%v, %v", offsets, err)
	}
	if lists, err := b.FullLists(testContext(t), 2); err != nil || !slices.Equal(lists, []uuid.UUID{full}) {
		t.Errorf("%v, %v", lists, err)
	}
}

func TestReadReturnsOnlyWhatItIsAskedFor(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	first, second := b.funded(100), b.funded(7)
	ops := decide(funds, first, 1, -1000)
	b.mustCommit(&wallet.Batch{Changes: []wallet.Change{change(first, 1, ops)}, Operations: ops})
	missing := uuid.New()
	s, err := b.Read(testContext(t), wallet.SnapshotQuery{
		Wallets: []uuid.UUID{first, missing},
		// An id is an operation's within its wallet: under another it is not there.
		Operations: []wallet.Key{ops[1].Key(), {WalletID: second, ID: ops[1].ID}, {WalletID: first, ID: uuid.New()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Wallets) != 1 || s.Wallets[first] != (wallet.State{Balance: 101, Sequence: 3}) {
		t.Errorf("wallets: %+v", s.Wallets)
	}
	if len(s.Operations) != 1 || s.Operations[ops[1].Key()] != ops[1] {
		t.Errorf("operations: %+v, want %+v", s.Operations, ops[1])
	}
	if len(s.Entries) != 0 {
		t.Errorf("entries: %+v", s.Entries)
	}
}

func TestReadOfAListBringsTheListedOperationsThatTheLedgerHas(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.funded(100)
	direct := decide(funds, id, 5)
	direct[0].Origin, direct[0].Receipt = wallet.Direct, wallet.NoReceipt
	b.mustCommit(&wallet.Batch{Changes: []wallet.Change{change(id, 1, direct)}, Operations: direct})
	waiting := []wallet.Operation{request(id, 1), direct[0], request(id, -3), request(id, 4)}
	b.listed(id, waiting...)
	s, err := b.Read(testContext(t), wallet.SnapshotQuery{Lists: []uuid.UUID{id}, EntriesPerList: 3})
	if err != nil {
		t.Fatal(err)
	}
	got := s.Entries[id]
	if len(got) != 3 {
		t.Fatalf("%d entries, want the first 3", len(got))
	}
	for i, e := range got {
		want := entries(waiting...)[i]
		want.Position = e.Position
		want.Status, want.Reason, want.Origin, want.Sequence, want.BalanceAfter, want.AppliedAt = 0, 0, 0, 0, 0, time.Time{}
		if e.AppliedAt.IsZero() {
			e.AppliedAt = time.Time{}
		}
		if e != want || i > 0 && e.Position <= got[i-1].Position {
			t.Errorf("entry %d: %+v, want %+v", i, e, want)
		}
	}
	if len(s.Operations) != 1 || s.Operations[direct[0].Key()] != direct[0] {
		t.Errorf("%+v", s.Operations)
	}
}
