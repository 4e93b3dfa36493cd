package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/walletd/walletd/internal/wallet"
)

func drawID(t *rapid.T, label string) uuid.UUID {
	id, _ := uuid.FromBytes(rapid.SliceOfN(rapid.Byte(), 16, 16).Filter(func(b []byte) bool { return uuid.UUID(b) != uuid.Nil }).Draw(t, label))
	return id
}

// The times that a record may have.
var (
	firstTime = time.Time{}
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
)

func drawTime(t *rapid.T, label string) time.Time {
	return time.UnixMicro(rapid.Int64Range(firstTime.UnixMicro(), lastTime.UnixMicro()).Draw(t, label)).UTC()
}

func drawOperation(t *rapid.T, kind wallet.Kind, walletID uuid.UUID) wallet.Operation {
	op := wallet.Operation{ID: drawID(t, "id"), WalletID: walletID, AcceptedAt: drawTime(t, "acceptedAt"), Receipt: wallet.NoReceipt}
	if kind == wallet.KindCreate {
		return op
	}
	op.Type = rapid.SampledFrom([]wallet.Type{wallet.Deposit, wallet.Withdraw}).Draw(t, "type")
	op.Amount = wallet.Amount(rapid.Int64Range(1, int64(wallet.MaxAmount)).Draw(t, "amount"))
	if kind == wallet.KindOperations {
		return op
	}
	op.Origin = wallet.Direct
	op.Status = rapid.SampledFrom([]wallet.Status{wallet.Applied, wallet.Failed}).Draw(t, "status")
	op.Reason = wallet.Reason(rapid.Uint8Range(0, uint8(wallet.WalletMissing)).Draw(t, "reason"))
	op.Sequence = rapid.Int64Range(0, 1<<62).Draw(t, "sequence")
	op.BalanceAfter = wallet.Amount(rapid.Int64Range(0, int64(wallet.MaxAmount)).Draw(t, "balance"))
	op.AppliedAt = drawTime(t, "appliedAt")
	op.Receipt = wallet.Receipt{Partition: rapid.Int32Min(-1).Draw(t, "partition"), Offset: rapid.Int64Min(-1).Draw(t, "offset")}
	return op
}

func drawRecord(t *rapid.T) wallet.Record {
	rec := wallet.Record{
		Kind:     wallet.Kind(rapid.Uint8Range(uint8(wallet.KindOperations), uint8(wallet.KindBackfill)).Draw(t, "kind")),
		WalletID: drawID(t, "wallet"), Attempt: rapid.IntRange(0, 1<<31-1).Draw(t, "attempt"),
		Receipt: wallet.Receipt{Partition: rapid.Int32Min(0).Draw(t, "at partition"), Offset: rapid.Int64Min(0).Draw(t, "at offset")},
	}
	if rapid.Bool().Draw(t, "has replica") {
		rec.Replica = drawID(t, "replica")
	}
	n := 1
	if rec.Kind != wallet.KindCreate {
		n = rapid.IntRange(1, 20).Draw(t, "operations")
	}
	for range n {
		rec.Operations = append(rec.Operations, drawOperation(t, rec.Kind, rec.WalletID))
	}
	return rec
}

func TestWhatIsEncodedDecodesToTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rec := drawRecord(t)
		r := Encode(&rec)
		r.Partition, r.Offset = rec.Receipt.Partition, rec.Receipt.Offset
		if got := Decode(r); !reflect.DeepEqual(got, rec) {
			t.Fatalf("decoded %+v\nencoded %+v", got, rec)
		}
	})
}

func TestLargestRecordDecodesAndStaysFarBelowTheBrokersLimit(t *testing.T) {
	rec := wallet.Record{Kind: wallet.KindBackfill, WalletID: uuid.New(), Receipt: wallet.Receipt{}}
	op := wallet.Operation{
		ID: uuid.New(), WalletID: rec.WalletID, Type: wallet.Withdraw, Amount: wallet.MaxAmount, AcceptedAt: lastTime,
		Status: wallet.Failed, Reason: wallet.WalletMissing, Origin: wallet.Direct, Sequence: 1 << 62, BalanceAfter: wallet.MaxAmount,
		AppliedAt: lastTime, Receipt: wallet.Receipt{Partition: 1<<31 - 1, Offset: 1 << 62},
	}
	for range wallet.MaxRecordOperations {
		rec.Operations = append(rec.Operations, op)
	}
	r := Encode(&rec)
	if got := Decode(r); !reflect.DeepEqual(got, rec) || len(r.Value) > 100_000 {
		t.Errorf("%d bytes, kind %d", len(r.Value), got.Kind)
	}
	rec.Operations = append(rec.Operations, op)
	if got := Decode(Encode(&rec)); got.Kind != wallet.KindPoison {
		t.Error("one more decodes too")
	}
}

// good is a record of two operations, each of which is 16 + 1 + 2 + 8 bytes.
func good() *kgo.Record {
	rec := wallet.Record{Kind: wallet.KindOperations, WalletID: uuid.MustParse("6ba7b810-9dad-41d1-80b4-00c04fd430c8"), Attempt: 2, Replica: uuid.MustParse("6ba7b811-9dad-41d1-80b4-00c04fd430c8")}
	for i := range 2 {
		rec.Operations = append(rec.Operations, wallet.Operation{ID: uuid.UUID{15: byte(i + 1)}, Type: wallet.Deposit, Amount: 1000, AcceptedAt: time.UnixMicro(1_700_000_000_000_000)})
	}
	r := Encode(&rec)
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: "foreign", Value: []byte("kept")})
	r.Partition, r.Offset = 3, 77
	return r
}

// at replaces the value's bytes from i on by b.
func at(i int, b ...byte) func(*kgo.Record) {
	return func(r *kgo.Record) { r.Value = append(r.Value[:i:i], append(b, r.Value[i+len(b):]...)...) }
}

// instead replaces n bytes from i on by b.
func instead(i, n int, b ...byte) func(*kgo.Record) {
	return func(r *kgo.Record) { r.Value = append(r.Value[:i:i], append(b, r.Value[i+n:]...)...) }
}

func header(key, value string) func(*kgo.Record) {
	return func(r *kgo.Record) {
		for i := range r.Headers {
			if r.Headers[i].Key == key {
				r.Headers[i].Value = []byte(value)
			}
		}
	}
}

func key(text string) func(*kgo.Record) { return func(r *kgo.Record) { r.Key = []byte(text) } }

const (
	atID     = 3 // of the first operation
	atType   = atID + 16
	atAmount = atType + 1
	atTime   = atAmount + 2
)

var faults = map[string]func(*kgo.Record){
	"no key":                     key(""),
	"key is no UUID":             key("not a wallet"),
	"key is nil":                 key(uuid.Nil.String()),
	"key is not canonical":       key(strings.ToUpper("6ba7b810-9dad-41d1-80b4-00c04fd430c8")),
	"key is a URN":               key("urn:uuid:6ba7b810-9dad-41d1-80b4-00c04fd430c8"),
	"attempt is no number":       header("attempt", "many"),
	"attempt is negative":        header("attempt", "-1"),
	"attempt is too large":       header("attempt", "2147483648"),
	"attempt is not canonical":   header("attempt", "02"),
	"replica is no UUID":         header("replica", "here"),
	"replica is not canonical":   header("replica", "{6ba7b811-9dad-41d1-80b4-00c04fd430c8}"),
	"no value":                   func(r *kgo.Record) { r.Value = nil },
	"empty value":                func(r *kgo.Record) { r.Value = []byte{} },
	"version 0":                  at(0, 0),
	"later version":              at(0, 2),
	"kind 0":                     at(1, 0),
	"later kind":                 at(1, 4),
	"no operations":              at(2, 0),
	"too many operations":        instead(2, 1, binary.AppendUvarint(nil, wallet.MaxRecordOperations+1)...),
	"number is not canonical":    instead(2, 1, 0x82, 0x00),
	"fewer operations than said": at(2, 3),
	"more operations than said":  at(2, 1),
	"operation id is nil":        at(atID, make([]byte, 16)...),
	"type 0":                     at(atType, 0),
	"later type":                 at(atType, 3),
	"amount 0":                   instead(atAmount, 2, 0),
	"amount too large":           instead(atAmount, 2, binary.AppendUvarint(nil, uint64(wallet.MaxAmount)+1)...),
	"amount beyond 63 bits":      instead(atAmount, 2, binary.AppendUvarint(nil, 1<<63+5)...),
	"amount beyond 64 bits":      instead(atAmount, 2, bytes.Repeat([]byte{0xff}, 11)...),
	"amount is not canonical":    instead(atAmount, 2, 0xe8, 0x87, 0x00),
	"time is not canonical":      instead(atTime, 8, 0x80, 0x00),
	"time before the year 1":     instead(atTime, 8, binary.AppendVarint(nil, firstTime.UnixMicro()-1)...),
	"time after the year 9999":   instead(atTime, 8, binary.AppendVarint(nil, lastTime.UnixMicro()+1)...),
	"a byte more":                func(r *kgo.Record) { r.Value = append(r.Value, 0) },
	"create of two":              at(1, byte(wallet.KindCreate)),
	"operations as backfill":     at(1, byte(wallet.KindBackfill)),
}

func TestWhatDoesNotDecodeIsPoisonWithItsBytes(t *testing.T) {
	if got := Decode(good()); got.Kind != wallet.KindOperations || len(got.Operations) != 2 {
		t.Fatalf("without a fault: %+v", got)
	}
	for name, break_ := range faults {
		t.Run(name, func(t *testing.T) {
			r := good()
			break_(r)
			isPoison(t, r)
		})
	}
}

// A record may be cut off anywhere.
func TestEveryPartOfARecordIsPoison(t *testing.T) {
	whole := good().Value
	for n := range whole {
		r := good()
		r.Value = whole[:n]
		isPoison(t, r)
	}
}

func TestBackfillWithUnknownOutcomeIsPoison(t *testing.T) {
	rec := wallet.Record{Kind: wallet.KindBackfill, WalletID: uuid.New()}
	rec.Operations = []wallet.Operation{{ID: uuid.New(), Type: wallet.Deposit, Amount: 1, AcceptedAt: time.UnixMicro(0), AppliedAt: time.UnixMicro(0), Receipt: wallet.NoReceipt}}
	const atStatus = atAmount + 1 + 1
	for name, break_ := range map[string]func(*kgo.Record){
		"later status":                at(atStatus, 3),
		"later reason":                at(atStatus+1, 4),
		"sequence beyond 63 bits":     instead(atStatus+2, 1, binary.AppendUvarint(nil, 1<<63)...),
		"partition beyond 31 bits":    instead(atStatus+5, 1, binary.AppendVarint(nil, 1<<31)...),
		"applied after the year 9999": instead(atStatus+4, 1, binary.AppendVarint(nil, lastTime.UnixMicro()+1)...),
		"balance beyond what is kept": instead(atStatus+3, 1, binary.AppendUvarint(nil, uint64(wallet.MaxAmount)+1)...),
	} {
		t.Run(name, func(t *testing.T) {
			r := Encode(&rec)
			if got := Decode(r); got.Kind != wallet.KindBackfill {
				t.Fatalf("without a fault: %v", got.Poison.Err)
			}
			break_(r)
			isPoison(t, r)
		})
	}
}

func isPoison(t *testing.T, r *kgo.Record) {
	t.Helper()
	got := Decode(r)
	p := got.Poison
	if got.Kind != wallet.KindPoison || p == nil || p.Err == nil || len(got.Operations) != 0 {
		t.Fatalf("decoded: %+v", got)
	}
	if got.Receipt != (wallet.Receipt{Partition: r.Partition, Offset: r.Offset}) || !bytes.Equal(p.Key, r.Key) || !bytes.Equal(p.Value, r.Value) || len(p.Headers) != len(r.Headers) {
		t.Errorf("kept %+v of %+v", got, r)
	}
	for i, h := range p.Headers {
		if h.Key != r.Headers[i].Key || !bytes.Equal(h.Value, r.Headers[i].Value) {
			t.Errorf("header %d: %+v", i, h)
		}
	}
	if errors.Unwrap(p.Err) == nil && p.Err.Error() == "" {
		t.Error("it is not said why")
	}
}

// What decodes is what this program would have written: nothing of it is lost when
// it is written again, as a copy is.
func FuzzDecode(f *testing.F) {
	r := good()
	f.Add(r.Key, r.Value, []byte("2"), []byte(uuid.NewString()))
	for _, kind := range []wallet.Kind{wallet.KindCreate, wallet.KindBackfill} {
		rec := wallet.Record{Kind: kind, WalletID: uuid.UUID{1}, Operations: []wallet.Operation{{ID: uuid.UUID{2}, Type: wallet.Withdraw, Amount: 300, Status: wallet.Failed, Reason: wallet.WalletMissing, Sequence: 400, Receipt: wallet.NoReceipt}}}
		r := Encode(&rec)
		f.Add(r.Key, r.Value, []byte{}, []byte{})
	}
	for _, name := range []string{"number is not canonical", "amount is not canonical", "attempt is not canonical", "replica is not canonical"} {
		r := good()
		faults[name](r)
		f.Add(r.Key, r.Value, r.Headers[0].Value, r.Headers[1].Value)
	}
	f.Fuzz(func(t *testing.T, key, value, attempt, replica []byte) {
		in := &kgo.Record{Key: key, Value: value, Partition: 1, Offset: 2}
		if len(attempt) > 0 {
			in.Headers = append(in.Headers, kgo.RecordHeader{Key: headerAttempt, Value: attempt})
		}
		if len(replica) > 0 {
			in.Headers = append(in.Headers, kgo.RecordHeader{Key: headerReplica, Value: replica})
		}
		rec := Decode(in)
		if rec.Kind == wallet.KindPoison {
			isPoison(t, in)
			return
		}
		out := Encode(&rec)
		if !bytes.Equal(out.Key, key) || !bytes.Equal(out.Value, value) || !reflect.DeepEqual(out.Headers, in.Headers) {
			t.Errorf("decoded %+v from %+v, which encodes to %+v", rec, in, out)
		}
	})
}
