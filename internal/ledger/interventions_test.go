package ledger_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/walletd/walletd/internal/wallet"
)

func TestADeadLetterIsSettledOnceUnlessForced(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	letter := wallet.Intervention{Who: "ada", Action: wallet.ActionDiscard, Subject: "letters/0-7", Reason: "a test's", Detail: map[string]any{"offset": 12}}
	if err := b.Resolve(testContext(t), letter); err != nil {
		t.Fatal(err)
	}
	letter.Action = wallet.ActionReplay
	err := b.Resolve(testContext(t), letter)
	if !errors.Is(err, wallet.ErrResolved) {
		t.Fatalf("the second time: %v", err)
	}
	if err := b.ResolveAgain(testContext(t), letter); err != nil {
		t.Fatal(err)
	}
	other := letter
	other.Subject = "letters/0-8"
	if err := b.Resolve(testContext(t), other); err != nil {
		t.Fatal(err)
	}
	resolved, err := b.Resolved(testContext(t), []string{"letters/0-7", "letters/0-9"})
	if err != nil || len(resolved) != 1 || resolved["letters/0-7"].Action != wallet.ActionReplay || resolved["letters/0-7"].Detail["offset"] != 12.0 {
		t.Errorf("%+v, %v", resolved, err)
	}
}

func TestOfManyOperatorsAtOnceOneSettlesALetter(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	var won atomic.Int32
	var operators sync.WaitGroup
	for range 8 {
		operators.Go(func() {
			err := b.Resolve(testContext(t), wallet.Intervention{Who: "one of many", Action: wallet.ActionReplay, Subject: "letters/0-1"})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, wallet.ErrResolved) {
				t.Error(err)
			}
		})
	}
	operators.Wait()
	if n := won.Load(); n != 1 {
		t.Errorf("%d have resolved it", n)
	}
}

// What a stranger wrote into a letter's header does not keep it open.
func TestATraceTakesAnyText(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	i := wallet.Intervention{Who: "ada\xff", Action: wallet.ActionDiscard, Subject: "letters/0-1", Reason: "\xfe", Detail: map[string]any{"why": "a\x00b"}}
	if err := b.Resolve(testContext(t), i); err != nil {
		t.Fatal(err)
	}
	all, err := b.Interventions(testContext(t), 0, 1)
	if err != nil || len(all) != 1 || all[0].Who != "ada\uFFFD" || all[0].Detail["why"] != "a\uFFFDb" {
		t.Errorf("%+v, %v", all, err)
	}
}
