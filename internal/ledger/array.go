package ledger

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// array is a column of a batch as PostgreSQL takes it: an array in binary form
// (array_recv). pgx encodes element by element through interfaces, which for the
// columns of the operations costs twenty times as much.
type array []byte

// Every array begins with its dimensions, whether it has nulls, and its element
// type; then length and lower bound of the one dimension.
const arrayHeaderBytes = 20

// newArray has room for n elements of the given size.
func newArray(oid uint32, n, elementBytes int) array {
	a := make(array, arrayHeaderBytes, arrayHeaderBytes+n*(4+elementBytes))
	binary.BigEndian.PutUint32(a[0:], 1)
	binary.BigEndian.PutUint32(a[4:], 1) // may have nulls
	binary.BigEndian.PutUint32(a[8:], oid)
	binary.BigEndian.PutUint32(a[16:], 1)
	return a
}

func newIDs(n int) array    { return newArray(pgtype.UUIDOID, n, 16) }
func newInt64s(n int) array { return newArray(pgtype.Int8OID, n, 8) }
func newInt32s(n int) array { return newArray(pgtype.Int4OID, n, 4) }
func newInt16s(n int) array { return newArray(pgtype.Int2OID, n, 2) }
func newTimes(n int) array  { return newArray(pgtype.TimestamptzOID, n, 8) }

// grow counts one more element.
func (a array) grow() { binary.BigEndian.PutUint32(a[12:], binary.BigEndian.Uint32(a[12:])+1) }

func (a *array) addID(v uuid.UUID) {
	a.grow()
	*a = append(binary.BigEndian.AppendUint32(*a, uint32(len(v))), v[:]...)
}

func (a *array) addInt64(v int64) {
	a.grow()
	*a = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(*a, 8), uint64(v))
}

func (a *array) addInt32(v int32) {
	a.grow()
	*a = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(*a, 4), uint32(v))
}

func (a *array) addInt16(v int16) {
	a.grow()
	*a = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(*a, 2), uint16(v))
}

// postgresEpoch is where PostgreSQL counts its microseconds from.
var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

func (a *array) addTime(v time.Time) { a.addInt64(v.UnixMicro() - postgresEpoch) }

func (a *array) addNull() {
	a.grow()
	*a = binary.BigEndian.AppendUint32(*a, ^uint32(0))
}

// arrayTypes are the types of the columns.
var arrayTypes = []uint32{pgtype.UUIDArrayOID, pgtype.Int2ArrayOID, pgtype.Int4ArrayOID, pgtype.Int8ArrayOID, pgtype.TimestamptzArrayOID}

// takeArrays has a new connection send an array as it is.
func takeArrays(_ context.Context, conn *pgx.Conn) error {
	m := conn.TypeMap()
	for _, oid := range arrayTypes {
		t, _ := m.TypeForOID(oid)
		m.RegisterType(&pgtype.Type{Name: t.Name, OID: oid, Codec: arrayCodec{t.Codec}})
	}
	return nil
}

// arrayCodec is pgx's own codec, which also takes an array.
type arrayCodec struct{ pgtype.Codec }

// PlanEncode is pgtype's.
func (c arrayCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(array); ok && format == pgtype.BinaryFormatCode {
		return asItIs{}
	}
	return c.Codec.PlanEncode(m, oid, format, value)
}

type asItIs struct{}

// Encode is pgtype's.
func (asItIs) Encode(value any, buf []byte) ([]byte, error) {
	return append(buf, value.(array)...), nil
}
