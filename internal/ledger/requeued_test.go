package ledger_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

func idsOf(list []wallet.Entry) []uuid.UUID {
	ids := make([]uuid.UUID, len(list))
	for i, e := range list {
		ids[i] = e.ID
	}
	return ids
}

func TestAListIsAppendedToTakenFromAndDropped(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := uuid.New()
	ops := []wallet.Operation{request(id, 1), request(id, 2), request(id, 3), request(id, 4)}
	all := entries(ops...)
	want := idsOf(all)
	list := func() []wallet.Entry { return b.read(id).Entries[id] }

	b.mustCommit(&wallet.Batch{Fence: b.fence(0, 1), Lists: []wallet.ListChange{{List: head(id, 2), Append: all[:2]}}})
	b.mustCommit(&wallet.Batch{Fence: b.fence(1, 2), Lists: []wallet.ListChange{{List: head(id, 4), Append: all[2:]}}})
	if got := idsOf(list()); !slices.Equal(got, want) {
		t.Fatalf("appended: %v, want %v", got, want)
	}
	// Taking and appending in one batch: what joins comes last.
	late := entries(request(id, 5))
	b.mustCommit(&wallet.Batch{Fence: b.fence(2, 3), Lists: []wallet.ListChange{
		{List: head(id, 3), Taken: []int64{list()[0].Position, list()[1].Position}, Append: late}}})
	if got, want := idsOf(list()), append(slices.Clone(want[2:]), late[0].ID); !slices.Equal(got, want) {
		t.Fatalf("taken: %v, want %v", got, want)
	}
	var taken []int64
	for _, e := range list() {
		taken = append(taken, e.Position)
	}
	b.mustCommit(&wallet.Batch{Fence: b.fence(3, 4), Lists: []wallet.ListChange{{List: head(id, 0), Taken: taken}}})
	p, err := b.Partition(testContext(t), b.topic.ID, 0)
	if err != nil || len(p.Lists) != 0 || len(list()) != 0 {
		t.Fatalf("%+v, %v, %v", p, list(), err)
	}
}

func TestDueNamesTheListsWhoseTimeHasComeLongestFirst(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	heads := map[uuid.UUID]wallet.List{}
	var order []uuid.UUID
	for i := range 4 {
		id := uuid.New()
		h := head(id, 2)
		h.NotBefore, h.Attempt = now.Add(time.Duration(10-i)*time.Minute), i
		heads[id], order = h, append([]uuid.UUID{id}, order...)
		b.mustCommit(&wallet.Batch{Fence: b.fence(int64(i), int64(i+1)), Lists: []wallet.ListChange{{List: h, Append: entries(request(id, 1), request(id, 2))}}})
	}
	most := 15 * time.Minute
	due := func(partition int32, at time.Time, limit int) []wallet.ListHead {
		t.Helper()
		got, err := b.Due(testContext(t), partition, at, most, limit)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := due(0, now, 10); len(got) != 0 {
		t.Errorf("before the first is due: %+v", got)
	}
	if got := due(1, now.Add(time.Hour), 10); len(got) != 0 {
		t.Errorf("another partition: %+v", got)
	}
	if got := due(0, now.Add(8*time.Minute), 10); len(got) != 2 {
		t.Errorf("two are due: %+v", got)
	}
	most = 9 * time.Minute
	if got := due(0, now, 10); len(got) != 1 || got[0].WalletID != order[3] {
		t.Errorf("set aside by a clock that was ahead: %+v", got)
	}
	got := due(0, now.Add(time.Hour), 3)
	if len(got) != 3 {
		t.Fatalf("%d, the limit is 3", len(got))
	}
	for i, d := range got {
		d.NotBefore = d.NotBefore.UTC()
		first := b.read(order[i]).Entries[order[i]][0]
		d.First.AcceptedAt = d.First.AcceptedAt.UTC()
		if d.List != heads[order[i]] || d.First != first {
			t.Errorf("%d: %+v, want %+v with %+v", i, d, heads[order[i]], first)
		}
	}
}

func TestDirectOperationsWaitForTheirBackfillRecord(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	one, two := b.funded(100), b.funded(100)
	if slices.Compare(one[:], two[:]) > 0 {
		one, two = two, one
	}
	want := map[uuid.UUID][]wallet.Operation{}
	for _, id := range []uuid.UUID{one, two} {
		ops := decide(funds, id, 1, -2, 3)
		for i := range ops {
			ops[i].Origin, ops[i].Receipt = wallet.Direct, wallet.NoReceipt
		}
		b.mustCommit(&wallet.Batch{Changes: []wallet.Change{change(id, 1, ops)}, Operations: ops})
		want[id] = ops
	}
	unjournaled := func(beyond uuid.UUID, limit int) map[uuid.UUID][]wallet.Operation {
		t.Helper()
		keys, err := b.Unjournaled(testContext(t), beyond, limit)
		if err != nil {
			t.Fatal(err)
		}
		ops, err := b.Backfills(testContext(t), keys)
		if err != nil {
			t.Fatal(err)
		}
		if named := slices.EqualFunc(keys, ops, func(k wallet.Key, op wallet.Operation) bool { return k == op.Key() }); !named {
			t.Errorf("%v are %+v", keys, ops)
		}
		got := map[uuid.UUID][]wallet.Operation{}
		for _, op := range ops {
			got[op.WalletID] = append(got[op.WalletID], op)
		}
		return got
	}
	got := unjournaled(uuid.Nil, 10)
	if !slices.Equal(got[one], want[one]) || !slices.Equal(got[two], want[two]) {
		t.Fatalf("%+v, want %+v", got, want)
	}
	if got := unjournaled(uuid.Nil, 4); len(got[one]) != 3 || len(got[two]) != 1 {
		t.Errorf("the limit is 4: %+v", got)
	}
	if got := unjournaled(one, 10); len(got[one]) != 0 || !slices.Equal(got[two], want[two]) {
		t.Errorf("beyond the first wallet: %+v", got)
	}
	if got := unjournaled(two, 10); len(got) != 0 {
		t.Errorf("beyond the last wallet: %+v", got)
	}
	// Noted for these keys only, an id of another wallet is not meant, and noting it again does no harm.
	keys := []wallet.Key{want[one][0].Key(), want[one][1].Key(), want[two][0].Key(), {WalletID: one, ID: want[two][1].ID}}
	for range 2 {
		if err := b.Journaled(testContext(t), keys); err != nil {
			t.Fatal(err)
		}
	}
	if got := unjournaled(uuid.Nil, 10); !slices.Equal(got[one], want[one][2:]) || !slices.Equal(got[two], want[two][1:]) {
		t.Errorf("%+v", got)
	}
}
