package ledger_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

// acceptance has the ledger follow a topic that was made anew, from its start.
func (b *book) acceptance() wallet.Repointing {
	b.t.Helper()
	follows, offsets, err := b.Followed(testContext(b.t))
	if err != nil {
		b.t.Fatal(err)
	}
	a := wallet.Repointing{From: follows, To: wallet.Topic{Name: follows.Name, ID: uuid.New(), Partitions: follows.Partitions}}
	for p := range follows.Partitions {
		next, ok := offsets[p]
		if !ok {
			next = -1
		}
		a.Moves = append(a.Moves, wallet.Move{Partition: p, From: next})
	}
	return a
}

func (b *book) accept(a wallet.Repointing) error {
	return b.Repoint(testContext(b.t), a, wallet.Intervention{Who: "ada", Action: wallet.ActionAccept, Subject: a.To.ID.String(), Reason: "the disk is gone", Detail: map[string]any{"from": a.From.ID}})
}

func TestRepointHasTheLedgerFollowAnotherTopicAndFencesTheOneBefore(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.funded(100)
	b.listed(uuid.New(), request(uuid.New(), 1))
	a := b.acceptance()
	a.Moves[2].To = 42
	if err := b.accept(a); err != nil {
		t.Fatal(err)
	}
	follows, offsets, err := b.Followed(testContext(t))
	if err != nil || follows.ID != a.To.ID || follows.Generation != a.From.Generation+1 || follows.Partitions != partitions || offsets[0] != 0 || offsets[2] != 42 {
		t.Errorf("it follows %+v from %v, %v", follows, offsets, err)
	}
	// A zombie of the topic before can neither commit nor find its place again.
	ops := decide(funds, id, 5)
	for _, from := range []int64{0, 1, 2} {
		wantKind(t, b.commit(&wallet.Batch{Fence: b.fence(from, from+1), Changes: []wallet.Change{change(id, 1, ops)}, Operations: ops}), wallet.ErrFenced)
	}
	_, err = b.Partition(testContext(t), a.From.ID, 0)
	wantKind(t, err, wallet.ErrTopicChanged)
	b.topic = follows
	b.mustCommit(&wallet.Batch{Fence: b.fence(0, 1), Changes: []wallet.Change{change(id, 1, ops)}, Operations: ops})
	traces, err := b.Interventions(testContext(t), 0, 10)
	if err != nil || len(traces) != 1 || traces[0].Reason != "the disk is gone" || traces[0].Detail["from"] != a.From.ID.String() {
		t.Errorf("traced %+v, %v", traces, err)
	}
}

func TestRepointChangesNothingWhenTheLedgerIsNotWhereItSays(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for name, change := range map[string]func(*wallet.Repointing){
		"another topic":      func(a *wallet.Repointing) { a.From.ID = uuid.New() },
		"another generation": func(a *wallet.Repointing) { a.From.Generation++ },
		"more partitions":    func(a *wallet.Repointing) { a.To.Partitions++ },
		"another offset":     func(a *wallet.Repointing) { a.Moves[1].From = 7 },
	} {
		a, before := b.acceptance(), b.dump()
		change(&a)
		wantKind(t, b.accept(a), wallet.ErrTopicChanged)
		if b.dump() != before {
			t.Errorf("%s: the ledger has changed", name)
		}
	}
	if traces, err := b.Interventions(testContext(t), 0, 10); err != nil || len(traces) != 0 {
		t.Errorf("traced %+v, %v", traces, err)
	}
}

func TestRepointMovesOffsetsOfTheSameTopic(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.mustCommit(&wallet.Batch{Fence: b.fence(0, 10)})
	a := b.acceptance()
	a.To, a.Moves = a.From, []wallet.Move{{Partition: 0, From: 10, To: 4}}
	if err := b.accept(a); err != nil {
		t.Fatal(err)
	}
	wantKind(t, b.commit(&wallet.Batch{Fence: b.fence(10, 11)}), wallet.ErrFenced)
	if follows, offsets, err := b.Followed(testContext(t)); err != nil || offsets[0] != 4 || len(offsets) != partitions || follows.Generation != 1 {
		t.Errorf("%+v at %v, %v", follows, offsets, err)
	}
}

// Replicas that do not know yet go on asking for their partitions while an operator
// has the ledger follow another topic, again and again.
func TestNoOffsetsOfATopicAreLeftBehindWhileReplicasAskForThem(t *testing.T) {
	t.Parallel()
	b := newBook(t, func(c *ledger.Config) { c.LockTimeout = time.Minute })
	ctx, cancel := context.WithCancel(testContext(t))
	var replicas sync.WaitGroup
	var mu sync.Mutex
	topic := b.topic.ID
	for p := range int32(partitions) {
		replicas.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				id := topic
				mu.Unlock()
				if _, err := b.Partition(ctx, id, p); err != nil && !errors.Is(err, wallet.ErrTopicChanged) && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	accepted := 0
	for began := time.Now(); accepted < 10 || time.Since(began) < 2*time.Second; {
		a := b.acceptance()
		if err := b.accept(a); err == nil {
			accepted++
		} else if !errors.Is(err, wallet.ErrTopicChanged) && !errors.Is(err, wallet.ErrConflict) {
			t.Error(err)
		}
		mu.Lock()
		topic = a.To.ID
		mu.Unlock()
		var left int
		if err := b.conn.QueryRow(testContext(t), "SELECT count(*) FROM journal_offsets WHERE topic_id NOT IN (SELECT topic_id FROM journal)").Scan(&left); err != nil || left > 0 {
			t.Fatalf("after %d acceptances %d offsets are of no topic that is followed, %v", accepted, left, err)
		}
	}
	cancel()
	replicas.Wait()
	t.Logf("%d acceptances", accepted)
}
