package balance

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

func operations(n int) []wallet.Operation {
	ops := make([]wallet.Operation, n)
	for i := range ops {
		op := wallet.Operation{
			ID: uuid.New(), WalletID: uuid.New(), Type: wallet.Deposit, Amount: wallet.Amount(1 + rand.Int64N(int64(wallet.MaxAmount))), //nolint:gosec // not a secret
			AcceptedAt: time.UnixMicro(rand.Int64N(4e15)).UTC(), Receipt: wallet.NoReceipt, //nolint:gosec // not a secret
		}
		at := op.AcceptedAt.Add(time.Millisecond)
		if i%3 == 0 {
			ops[i] = wallet.Refuse(op, at)
			continue
		}
		op.Type, op.Origin, op.Receipt = wallet.Withdraw, wallet.Direct, wallet.Receipt{Partition: 7, Offset: 1 << 40}
		_, ops[i] = wallet.Apply(wallet.State{Balance: wallet.Amount(i % 2 * int(wallet.MaxAmount)), Sequence: 1 << 50}, op, at)
	}
	return ops
}

func TestAMessageIsReadAsItWasWritten(t *testing.T) {
	ops, b := operations(2000), []byte{messageVersion}
	made := uuid.New()
	ops = append(ops, wallet.Operation{ID: made, WalletID: made, Status: wallet.Applied, AcceptedAt: time.UnixMicro(5).UTC(), AppliedAt: time.UnixMicro(5).UTC()})
	for i := range ops {
		b = appendOperation(b, &ops[i])
	}
	got, err := readMessage(b)
	if err != nil || len(got) != len(ops) {
		t.Fatalf("%d of %d, %v", len(got), len(ops), err)
	}
	for i := range ops {
		if got[i] != ops[i] {
			t.Fatalf("%+v became %+v", ops[i], got[i])
		}
	}
}

func TestAMessageThatIsCutOffOrOfAnotherVersionIsPassedOver(t *testing.T) {
	op := operations(1)[0]
	whole := appendOperation([]byte{messageVersion}, &op)
	for n := range whole {
		if got, err := readMessage(whole[:n]); err == nil && n != 1 {
			t.Errorf("%d of %d bytes are %+v", n, len(whole), got)
		}
	}
	for _, other := range []string{`{"operations":[]}`, "\x02"} {
		if got, err := readMessage([]byte(other)); err == nil {
			t.Errorf("%q is %+v", other, got)
		}
	}
}

func BenchmarkMessage(b *testing.B) {
	ops, buf := operations(1000), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = append(buf[:0], messageVersion)
		for i := range ops {
			buf = appendOperation(buf, &ops[i])
		}
		if _, err := readMessage(buf); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/operation")
}
