package ledger_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// asideUntil sets a wallet aside with a long backoff.
func (b *book) asideUntil(notBefore time.Time) uuid.UUID {
	b.t.Helper()
	h, next := head(uuid.New(), 2), b.next(0)
	h.NotBefore = notBefore
	b.mustCommit(&wallet.Batch{Fence: b.fence(next, next+1), Lists: []wallet.ListChange{{List: h, Append: entries(request(h.WalletID, 1), request(h.WalletID, 2))}}})
	return h.WalletID
}

// dueNow are the wallets whose list is due by the clock of this machine.
func (b *book) dueNow() []uuid.UUID {
	b.t.Helper()
	due, err := b.Due(testContext(b.t), 0, time.Now().Add(time.Minute), 1000*time.Hour, 10)
	if err != nil {
		b.t.Fatal(err)
	}
	ids := []uuid.UUID{}
	for _, d := range due {
		ids = append(ids, d.List.WalletID)
	}
	return ids
}

func TestReleaseMakesListsDueAndLeavesATraceOfEach(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	later := time.Now().Add(24 * time.Hour)
	one, two, other := b.asideUntil(later), b.asideUntil(later), b.asideUntil(later)
	stranger := uuid.New()
	released, err := b.Release(testContext(t), []uuid.UUID{two, stranger, one}, "ada", "the row is free")
	if err != nil || len(released) != 2 || !slices.Contains(released, one) || !slices.Contains(released, two) {
		t.Fatalf("released %v, %v", released, err)
	}
	if due := b.dueNow(); len(due) != 2 || slices.Contains(due, other) {
		t.Errorf("due are %v", due)
	}
	all, err := b.Interventions(testContext(t), 0, 10)
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	for _, i := range all {
		if !slices.Contains(released, uuid.MustParse(i.Subject)) || i.Who != "ada" || i.Action != wallet.ActionRelease ||
			i.Reason != "the row is free" || i.Detail["length"] != 2.0 || time.Since(i.At) > time.Minute {
			t.Errorf("the trace is %+v", i)
		}
	}
	if all[0].ID <= all[1].ID {
		t.Error("the newest is not first")
	}
	if older, err := b.Interventions(testContext(t), all[0].ID, 10); err != nil || len(older) != 1 || older[0].ID != all[1].ID {
		t.Errorf("before the newest: %+v, %v", older, err)
	}
}

// The owner of a partition knows the head of a list as it wrote it last. What joins
// a list meanwhile must not take the release back.
func TestARecordThatJoinsAReleasedListLeavesItDue(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	later := time.Now().Add(24 * time.Hour)
	id := b.asideUntil(later)
	if _, err := b.Release(testContext(t), []uuid.UUID{id}, "ada", "free"); err != nil {
		t.Fatal(err)
	}
	h, next := head(id, 3), b.next(0)
	h.NotBefore = later
	b.mustCommit(&wallet.Batch{Fence: b.fence(next, next+1), Lists: []wallet.ListChange{{List: h, Append: entries(request(id, 3))}}})
	if due := b.dueNow(); !slices.Equal(due, []uuid.UUID{id}) {
		t.Errorf("due are %v", due)
	}
	h.Attempt, h.Refusals = 1, 1 // its copy came by and was refused: a new backoff
	b.mustCommit(&wallet.Batch{Fence: b.fence(next+1, next+2), Lists: []wallet.ListChange{{List: h}}})
	if due := b.dueNow(); len(due) != 0 {
		t.Errorf("after another refusal due are %v", due)
	}
}

func TestAsideListsEveryWalletOnceInParts(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	want := map[uuid.UUID]bool{}
	for range 5 {
		want[b.asideUntil(now)] = true
	}
	var after uuid.UUID
	for n := 0; len(want) > 0; n++ {
		part, err := b.Aside(testContext(t), after, 2)
		if err != nil || len(part) == 0 || n > 3 {
			t.Fatalf("%d are missing after %d parts: %v", len(want), n, err)
		}
		for _, d := range part {
			if after = d.List.WalletID; !want[after] || d.Length != 2 || d.First.Amount != 1 || d.First.WalletID != after {
				t.Errorf("listed %+v", d)
			}
			delete(want, after)
		}
	}
}
