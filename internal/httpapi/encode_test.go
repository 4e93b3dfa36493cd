package httpapi

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/httpapi/api"
	"github.com/walletd/walletd/internal/wallet"
)

// slowOperation is op in the generated types, built the slow and obvious way.
func slowOperation(op wallet.Operation) api.Operation {
	o := api.Operation{
		OperationID: op.ID, WalletID: op.WalletID, OperationType: api.OperationType(op.Type.String()),
		Amount: int64(op.Amount), Status: api.OperationStatus(op.Status.String()),
	}
	if op.Status == wallet.Failed {
		o.Reason = new(api.Reason(op.Reason.String()))
	}
	if op.Status != wallet.Pending {
		o.Origin = new(api.Origin(op.Origin.String()))
	}
	if op.Sequence > 0 {
		o.Sequence, o.BalanceAfter = &op.Sequence, new(int64(op.BalanceAfter))
	}
	if !op.AcceptedAt.IsZero() {
		o.AcceptedAt = &op.AcceptedAt
	}
	if !op.AppliedAt.IsZero() {
		o.AppliedAt = &op.AppliedAt
	}
	if op.Receipt.Known() {
		o.Partition, o.Offset = &op.Receipt.Partition, &op.Receipt.Offset
	}
	return o
}

// operations are all kinds that an answer can have.
func operations() []wallet.Operation {
	pending := wallet.Operation{
		ID: uuid.MustParse(opText), WalletID: alice, Type: wallet.Withdraw, Amount: 5,
		AcceptedAt: at.Add(-time.Second), Receipt: wallet.Receipt{Partition: 7, Offset: 1204},
	}
	_, applied := wallet.Apply(wallet.State{Balance: 5, Sequence: 9}, pending, at)
	_, failed := wallet.Apply(wallet.State{Balance: 4, Sequence: 9}, pending, at)
	direct := applied
	direct.Origin, direct.Receipt = wallet.Direct, wallet.NoReceipt
	bare := wallet.Operation{ID: alice, WalletID: alice, Type: wallet.Deposit, Amount: wallet.MaxAmount, Receipt: wallet.NoReceipt}
	first := wallet.Operation{ID: alice, WalletID: alice, Type: wallet.Deposit, Amount: 1} // partition 0, offset 0
	return []wallet.Operation{pending, applied, failed, direct, bare, first, wallet.Refuse(pending, at)}
}

// same fails unless text is the JSON of v: the same members, in the same order.
func same(t *testing.T, text []byte, v any) {
	t.Helper()
	want, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != string(want) {
		t.Errorf("\n%s, want\n%s", text, want)
	}
}

func TestEncodersAgreeWithGeneratedTypes(t *testing.T) {
	for _, op := range operations() {
		o := slowOperation(op)
		// A time without a fraction differs in its zeros, so all times are at a microsecond.
		same(t, appendOperation(nil, &op), o)
		same(t, appendOutcome(nil, &op), api.Outcome{Operation: o, Balance: o.BalanceAfter, Sequence: o.Sequence})
		same(t, appendList(nil, alice, &wallet.Page{Operations: []wallet.Operation{op, op}, Next: &wallet.Cursor{Sequence: 2}}),
			api.OperationList{Operations: []api.Operation{o, o}, NextCursor: "djIuMC4yLjVhNjk3ODg3"})
		p := problem{problemKinds[wallet.CodeOverloaded], wallet.CodeOverloaded, wallet.Unknown, []wallet.FieldError{{Field: "a", Detail: "b"}, {Field: "ä\"\\\n\u2028", Detail: "\x00"}}, &op}
		same(t, appendProblem(nil, p), api.Problem{
			Type: "urn:walletd:problem:overloaded", Title: p.title, Status: 429, Detail: p.detail, Code: api.CodeOverloaded,
			Retryable: true, Outcome: api.Unknown, Errors: []api.FieldError{{Field: "a", Detail: "b"}, {Field: "ä\"\\\n\u2028", Detail: "\x00"}}, Operation: &o,
		})
	}
	v := wallet.Wallet{ID: alice, State: wallet.State{Balance: 3, Sequence: 4}, UpdatedAt: at.In(time.FixedZone("", 3600))}
	same(t, appendWallet(nil, &v), api.Wallet{WalletID: alice, Balance: 3, Sequence: 4, UpdatedAt: at})
}

func TestTimesHaveMicroseconds(t *testing.T) {
	for range 1000 {
		when := time.UnixMicro(rand.Int64N(4e15)).In(time.FixedZone("", rand.IntN(80000)-40000)) //nolint:gosec // not a secret
		op := wallet.Operation{AcceptedAt: when, Receipt: wallet.NoReceipt}
		var o api.Operation
		text := appendOperation(nil, &op)
		if err := json.Unmarshal(text, &o); err != nil || !o.AcceptedAt.Equal(when) || !reflect.DeepEqual(o.AcceptedAt.Location(), time.UTC) {
			t.Fatalf("%v: %v %s", when, err, text)
		}
	}
}

func BenchmarkAppendOutcome(b *testing.B) {
	op, buf := operations()[1], make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendOutcome(buf[:0], &op)
	}
}

func BenchmarkMarshalOutcome(b *testing.B) {
	op := operations()[1]
	b.ReportAllocs()
	for b.Loop() {
		o := slowOperation(op)
		_, _ = json.Marshal(api.Outcome{Operation: o, Balance: o.BalanceAfter, Sequence: o.Sequence})
	}
}

func TestTimesHaveAllSixDigitsInUTC(t *testing.T) {
	east := time.FixedZone("", 2*60*60)
	for want, at := range map[string]time.Time{
		"2026-11-23T12:54:53.000000Z": time.Date(2026, 11, 23, 12, 54, 53, 0, time.UTC),
		"2026-11-23T12:54:53.000001Z": time.Date(2026, 11, 23, 12, 54, 53, 1_999, time.UTC),
		"2026-11-23T12:54:53.100200Z": time.Date(2026, 11, 23, 14, 54, 53, 100_200_000, east),
		"9999-12-31T23:59:59.999999Z": time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		"0001-01-01T00:00:00.000001Z": time.Date(1, 1, 1, 0, 0, 0, 1_000, time.UTC),
	} {
		if got := string(appendMicros(nil, at)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
