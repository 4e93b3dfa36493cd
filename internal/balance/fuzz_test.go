package balance

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

var fuzzed = wallet.Wallet{ID: uuid.MustParse("8a6e2f5c-4b6d-4f0e-9d39-6f1f0c3b7a11"), State: wallet.State{Balance: 1000, Sequence: 7}, UpdatedAt: time.UnixMicro(1_700_000_000_000_001).UTC()}

// What Redis has is served only if it is a balance, in the one form it is written in.
func FuzzCachedBalance(f *testing.F) {
	for _, s := range []string{format(fuzzed), "-1 0 -62135596800000000", "-8 0 0", "", "7", "7 1000", "07 1 1", "1 -1 1", "1 9007199254740992 1", "+1 1 1", "1 1 1 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, err := parse(fuzzed.ID, text)
		if err != nil {
			return
		}
		if format(w) != text || w.ID != fuzzed.ID || w.Balance < 0 || w.Balance > wallet.MaxAmount {
			t.Fatalf("%q is %+v", text, w)
		}
	})
}

// What another replica, or a foreigner, publishes is delivered only if it can be
// answered.
func FuzzAnnouncement(f *testing.F) {
	op := wallet.Operation{ID: uuid.New(), WalletID: fuzzed.ID, Type: wallet.Deposit, Amount: 5, AcceptedAt: fuzzed.UpdatedAt, Status: wallet.Applied, Sequence: 8, BalanceAfter: 1005, AppliedAt: fuzzed.UpdatedAt, Receipt: wallet.Receipt{Partition: 3, Offset: 9}}
	for _, status := range []wallet.Status{wallet.Applied, wallet.Failed, wallet.Pending, 7} {
		op.Status = status
		one := appendOperation([]byte{messageVersion}, &op)
		f.Add(one)
		f.Add(appendOperation(one, &op)[:len(one)+20])
	}
	made := wallet.Operation{ID: fuzzed.ID, WalletID: fuzzed.ID, AcceptedAt: fuzzed.UpdatedAt, AppliedAt: fuzzed.UpdatedAt, Status: wallet.Applied, Receipt: wallet.NoReceipt}
	f.Add(appendOperation([]byte{messageVersion}, &made))
	f.Fuzz(func(t *testing.T, body []byte) {
		ops, err := readMessage(body)
		if err != nil {
			return
		}
		for _, op := range ops {
			if op.Status.String() == "PENDING" || op.Type.String() == "" && !op.IsCreation() {
				t.Fatalf("%q is delivered as %+v", body, op)
			}
			_, _ = op.Reason.String(), op.Origin.String() // what has no name panics
		}
	})
}
