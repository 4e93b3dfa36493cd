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
	if err := b.Settle(testContext(t), letter, false); err != nil {
		t.Fatal(err)
	}
	letter.Action = wallet.ActionReplay
	err := b.Settle(testContext(t), letter, false)
	if !errors.Is(err, wallet.ErrSettled) {
		t.Fatalf("the second time: %v", err)
	}
	if err := b.Settle(testContext(t), letter, true); err != nil {
		t.Fatal(err)
	}
	other := letter
	other.Subject = "letters/0-8"
	if err := b.Settle(testContext(t), other, false); err != nil {
		t.Fatal(err)
	}
	settled, err := b.Settled(testContext(t), []string{"letters/0-7", "letters/0-9"})
	if err != nil || len(settled) != 1 || settled["letters/0-7"].Action != wallet.ActionReplay || settled["letters/0-7"].Detail["offset"] != 12.0 {
		t.Errorf("%+v, %v", settled, err)
	}
}

func TestOfManyOperatorsAtOnceOneSettlesALetter(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	var won atomic.Int32
	var operators sync.WaitGroup
	for range 8 {
		operators.Go(func() {
			err := b.Settle(testContext(t), wallet.Intervention{Who: "one of many", Action: wallet.ActionReplay, Subject: "letters/0-1"}, false)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, wallet.ErrSettled) {
				t.Error(err)
			}
		})
	}
	operators.Wait()
	if n := won.Load(); n != 1 {
		t.Errorf("%d have settled it", n)
	}
}
