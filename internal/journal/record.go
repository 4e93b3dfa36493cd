package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/wallet"
)

// A record's value is version, kind, the number of operations and the operations.
// Integers are varints as of Protocol Buffers, times are microseconds since 1970.
//
//	operations  id[16] type amount acceptedAt
//	create      id[16] acceptedAt
//	backfill    as operations, then status reason sequence balanceAfter appliedAt partition offset
const version = 1

// The headers of a record, as text.
const (
	headerAttempt = "attempt" // of a copy, from 1
	headerReplica = "replica" // that accepted the record
)

// Encode returns the record's key, value and headers; topic and partition are the
// caller's to set.
func Encode(rec *wallet.Record) *kgo.Record {
	b := make([]byte, 0, 8+40*len(rec.Operations))
	b = append(b, version, byte(rec.Kind))
	b = binary.AppendUvarint(b, uint64(len(rec.Operations)))
	for i := range rec.Operations {
		b = appendOperation(b, rec.Kind, &rec.Operations[i])
	}
	out := &kgo.Record{Key: []byte(rec.WalletID.String()), Value: b}
	if rec.Attempt > 0 {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: headerAttempt, Value: strconv.AppendInt(nil, int64(rec.Attempt), 10)})
	}
	if rec.Replica != uuid.Nil {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: headerReplica, Value: []byte(rec.Replica.String())})
	}
	return out
}

func appendOperation(b []byte, kind wallet.Kind, op *wallet.Operation) []byte {
	b = append(b, op.ID[:]...)
	if kind == wallet.KindCreate {
		return binary.AppendVarint(b, op.AcceptedAt.UnixMicro())
	}
	b = append(b, byte(op.Type))
	b = binary.AppendUvarint(b, uint64(op.Amount))
	b = binary.AppendVarint(b, op.AcceptedAt.UnixMicro())
	if kind != wallet.KindBackfill {
		return b
	}
	b = append(b, byte(op.Status), byte(op.Reason))
	b = binary.AppendUvarint(b, uint64(op.Sequence))
	b = binary.AppendUvarint(b, uint64(op.BalanceAfter))
	b = binary.AppendVarint(b, op.AppliedAt.UnixMicro())
	b = binary.AppendVarint(b, int64(op.Receipt.Partition))
	return binary.AppendVarint(b, op.Receipt.Offset)
}

// Decode reads a record as it came from the broker. One that does not decode is
// returned as poison, with its bytes. What decodes is what Encode writes, byte for
// byte: so nothing is lost when it is written again.
func Decode(r *kgo.Record) wallet.Record {
	rec := wallet.Record{Receipt: wallet.Receipt{Partition: r.Partition, Offset: r.Offset}}
	if err := decode(r, &rec); err != nil {
		return poison(r, err)
	}
	return rec
}

// decoded are the records, each as Decode reads it.
func decoded(records []*kgo.Record) []wallet.Record {
	all := make([]wallet.Record, len(records))
	for i, r := range records {
		all[i] = Decode(r)
	}
	return all
}

func poison(r *kgo.Record, err error) wallet.Record {
	p := &wallet.Poison{Key: r.Key, Value: r.Value, Err: err}
	for _, h := range r.Headers {
		p.Headers = append(p.Headers, wallet.Header{Key: h.Key, Value: h.Value})
	}
	return wallet.Record{Kind: wallet.KindPoison, Poison: p, Receipt: wallet.Receipt{Partition: r.Partition, Offset: r.Offset}}
}

func decode(r *kgo.Record, rec *wallet.Record) error {
	id, ok := wallet.ParseID(string(r.Key))
	if !ok || id.String() != string(r.Key) {
		return errors.New("the key is not the canonical text of a wallet id")
	}
	rec.WalletID = id
	if err := decodeHeaders(r.Headers, rec); err != nil {
		return err
	}
	d := decoder{b: r.Value}
	if v := d.byte(); v != version {
		return fmt.Errorf("version %d is not known", v)
	}
	rec.Kind = wallet.Kind(d.byte())
	if rec.Kind < wallet.KindOperations || rec.Kind > wallet.KindBackfill {
		return fmt.Errorf("kind %d is not known", rec.Kind)
	}
	n := d.uvarint()
	if n < 1 || n > wallet.MaxRecordOperations || rec.Kind == wallet.KindCreate && n != 1 {
		return fmt.Errorf("%d operations in a record", n)
	}
	rec.Operations = make([]wallet.Operation, n)
	for i := range rec.Operations {
		if err := d.operation(rec.Kind, rec.WalletID, &rec.Operations[i]); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
	}
	if len(d.b) > 0 {
		return errors.New("bytes after the last operation")
	}
	return nil
}

func decodeHeaders(headers []kgo.RecordHeader, rec *wallet.Record) error {
	for _, h := range headers {
		switch h.Key {
		case headerAttempt:
			n, err := strconv.ParseUint(string(h.Value), 10, 31)
			if err != nil || n < 1 || h.Value[0] == '0' {
				return errors.New("the attempt header is not a number from 1")
			}
			rec.Attempt = int(n)
		case headerReplica:
			id, ok := wallet.ParseID(string(h.Value))
			if !ok || id.String() != string(h.Value) {
				return errors.New("the replica header is not the canonical text of a UUID")
			}
			rec.Replica = id
		}
	}
	return nil
}

// decoder consumes b; once something is missing or not as Encode writes it, it is
// broken and yields zeros.
type decoder struct {
	b      []byte
	broken bool
}

func (d *decoder) operation(kind wallet.Kind, walletID uuid.UUID, op *wallet.Operation) error {
	op.WalletID, op.Receipt = walletID, wallet.NoReceipt
	copy(op.ID[:], d.bytes(16))
	if kind != wallet.KindCreate {
		op.Type, op.Amount = wallet.Type(d.byte()), wallet.Amount(d.uvarint())
	}
	op.AcceptedAt = d.time()
	if kind == wallet.KindBackfill {
		op.Origin = wallet.Direct
		op.Status, op.Reason = wallet.Status(d.byte()), wallet.Reason(d.byte())
		op.Sequence, op.BalanceAfter = int64(d.uvarint()), wallet.Amount(d.uvarint())
		op.AppliedAt = d.time()
		partition := d.varint()
		d.broken = d.broken || int64(int32(partition)) != partition
		op.Receipt = wallet.Receipt{Partition: int32(partition), Offset: d.varint()}
	}
	return d.check(kind, op)
}

func (d *decoder) check(kind wallet.Kind, op *wallet.Operation) error {
	switch {
	case d.broken:
		return errors.New("the value is cut off, or has a number that is not in its shortest form")
	case op.ID == uuid.Nil:
		return errors.New("the operation id is nil")
	case !dated(op.AcceptedAt) || !dated(op.AppliedAt):
		return errors.New("a time is not within the years 1 to 9999")
	case kind == wallet.KindCreate:
		return nil
	case op.Type.String() == "":
		return fmt.Errorf("type %d is not known", op.Type)
	case !op.Amount.Valid():
		return fmt.Errorf("amount %d is out of range", op.Amount)
	case op.Status > wallet.Failed || op.Reason > wallet.WalletMissing:
		return fmt.Errorf("status %d or reason %d is not known", op.Status, op.Reason)
	case op.Sequence < 0 || op.BalanceAfter < 0 || op.BalanceAfter > wallet.MaxAmount:
		return fmt.Errorf("sequence %d or balance %d is out of range", op.Sequence, op.BalanceAfter)
	}
	return nil
}

// dated reports whether the ledger can keep the time and an answer can say it: a
// record that cannot be kept would hold its partition for ever.
func dated(at time.Time) bool { return at.Year() >= 1 && at.Year() <= 9999 }

func (d *decoder) bytes(n int) []byte {
	if len(d.b) < n {
		d.b, d.broken = nil, true
		return make([]byte, n)
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) byte() byte { return d.bytes(1)[0] }

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	d.skip(n)
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	d.skip(n)
	return v
}

func (d *decoder) skip(n int) {
	if n <= 0 || n > 1 && d.b[n-1] == 0 {
		d.b, d.broken = nil, true
		return
	}
	d.b = d.b[n:]
}

func (d *decoder) time() time.Time { return time.UnixMicro(d.varint()).UTC() }
