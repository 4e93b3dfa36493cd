package wallet_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

func TestTypesAndStatusesAreParsedFromTheirNames(t *testing.T) {
	for _, typ := range []wallet.Type{wallet.Deposit, wallet.Withdraw} {
		if got, ok := wallet.ParseType(typ.String()); !ok || got != typ {
			t.Errorf("%s: %d, %t", typ, got, ok)
		}
	}
	for _, status := range []wallet.Status{wallet.Pending, wallet.Applied, wallet.Failed} {
		if got, ok := wallet.ParseStatus(status.String()); !ok || got != status {
			t.Errorf("%s: %d, %t", status, got, ok)
		}
	}
	for _, s := range []string{"", "deposit", "DEPOSIT ", "TRANSFER", "applied"} {
		_, isType := wallet.ParseType(s)
		_, isStatus := wallet.ParseStatus(s)
		if isType || isStatus {
			t.Errorf("%q is taken", s)
		}
	}
}

// What goes into the ledger's columns and the journal's bytes never changes its number.
func TestStoredNumbersNeverChange(t *testing.T) {
	for what, pair := range map[string][2]int{
		"DEPOSIT": {int(wallet.Deposit), 1}, "WITHDRAW": {int(wallet.Withdraw), 2},
		"PENDING": {int(wallet.Pending), 0}, "APPLIED": {int(wallet.Applied), 1}, "FAILED": {int(wallet.Failed), 2},
		"insufficient_funds": {int(wallet.InsufficientFunds), 1}, "balance_overflow": {int(wallet.BalanceOverflow), 2},
		"wallet_not_found": {int(wallet.WalletMissing), 3}, "journal": {int(wallet.FromJournal), 0}, "direct": {int(wallet.Direct), 1},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %d, was %d", what, pair[0], pair[1])
		}
	}
}

func TestARequestIsTheSameOnlyIfEveryPartIs(t *testing.T) {
	op := wallet.Operation{ID: uuid.New(), WalletID: uuid.New(), Type: wallet.Deposit, Amount: 5}
	later := op
	later.Status, later.Sequence, later.Receipt, later.AcceptedAt = wallet.Applied, 9, wallet.Receipt{Offset: 3}, at
	if !op.SameRequest(later) {
		t.Error("its outcome makes it another request")
	}
	for what, change := range map[string]func(*wallet.Operation){
		"id":     func(o *wallet.Operation) { o.ID = uuid.New() },
		"wallet": func(o *wallet.Operation) { o.WalletID = uuid.New() },
		"type":   func(o *wallet.Operation) { o.Type = wallet.Withdraw },
		"amount": func(o *wallet.Operation) { o.Amount++ },
	} {
		other := op
		change(&other)
		if op.SameRequest(other) {
			t.Errorf("another %s is the same request", what)
		}
	}
}

func TestTheNewestBalanceOfEachWalletIsTheOneOfTheHighestSequence(t *testing.T) {
	one, other := uuid.New(), uuid.New()
	op := func(id uuid.UUID, sequence int64, balance wallet.Amount) wallet.Operation {
		return wallet.Operation{ID: uuid.New(), WalletID: id, Sequence: sequence, BalanceAfter: balance, AppliedAt: time.UnixMicro(sequence)}
	}
	pending := wallet.Operation{ID: uuid.New(), WalletID: uuid.New()}
	got := wallet.Newest(slices.Values([]wallet.Operation{op(one, 2, 20), op(other, 1, 5), op(one, 3, 10), pending, op(one, 1, 30)}))
	slices.SortFunc(got, func(a, b wallet.Wallet) int { return int(b.Sequence - a.Sequence) })
	want := []wallet.Wallet{
		{ID: one, State: wallet.State{Balance: 10, Sequence: 3}, UpdatedAt: time.UnixMicro(3)},
		{ID: other, State: wallet.State{Balance: 5, Sequence: 1}, UpdatedAt: time.UnixMicro(1)},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
