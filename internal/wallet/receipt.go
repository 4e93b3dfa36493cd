package wallet

import (
	"fmt"
	"strconv"
	"strings"
)

// Receipt is a record's place in a topic: an operation's in the journal, or a dead
// letter's.
type Receipt struct {
	Partition int32
	Offset    int64
}

// NoReceipt is the receipt of an operation that has no known place in the journal.
var NoReceipt = Receipt{Partition: -1, Offset: -1}

// Known reports whether r names a place.
func (r Receipt) Known() bool { return r.Partition >= 0 && r.Offset >= 0 }

// String is <partition>-<offset>, or "-" if the place is not known.
func (r Receipt) String() string {
	if !r.Known() {
		return "-"
	}
	return fmt.Sprintf("%d-%d", r.Partition, r.Offset)
}

// The most digits of a receipt's two numbers.
const (
	maxPartitionDigits = 10
	maxOffsetDigits    = 19
)

// ParseReceipt reads <partition>-<offset>, in plain digits.
func ParseReceipt(s string) (Receipt, bool) {
	partition, offset, _ := strings.Cut(s, "-")
	p, err := strconv.ParseUint(partition, 10, 31)
	o, err2 := strconv.ParseUint(offset, 10, 63)
	if err != nil || err2 != nil || len(partition) > maxPartitionDigits || len(offset) > maxOffsetDigits {
		return NoReceipt, false
	}
	return Receipt{Partition: int32(p), Offset: int64(o)}, true
}
