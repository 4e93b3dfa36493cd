package load

import (
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// told is what a request's answer said became of it.
type told uint8

const (
	toldNothing  told = iota // no answer, or one that leaves it unknown: it may be in the history
	toldPending              // accepted
	toldApplied              // accepted
	toldFailed               // accepted, with its reason
	toldRejected             // not accepted: it must not be in the history
	toldUnread               // accepted; what the answer says was not read
)

// record is what is remembered of an operation that was asked for. There may be millions: no pointers.
type record struct {
	operation uuid.UUID
	sequence  int64
	balance   wallet.Amount
	amount    wallet.Amount
	sent      time.Duration // since the start of the run
	answered  time.Duration
	target    int32
	request   int32 // a bulk, from 1; 0: one of its own
	item      int32 // of the bulk's
	opType    wallet.Type
	told      told
	reason    wallet.Reason
	late      bool // told PENDING first, and the outcome by the Location
	seen      bool // in the history
}

func (r *record) accepted() bool {
	return r.told == toldPending || r.told == toldApplied || r.told == toldFailed || r.told == toldUnread
}

// book keeps the records in chunks, so that growing copies nothing.
type book struct {
	chunks [][]record
	size   int
}

const chunkRecords = 8192

// add returns where the record is kept, for good.
func (b *book) add(r record) *record {
	if b.size%chunkRecords == 0 {
		b.chunks = append(b.chunks, make([]record, 0, chunkRecords))
	}
	last := &b.chunks[len(b.chunks)-1]
	*last = append(*last, r)
	b.size++
	return &(*last)[len(*last)-1]
}

// of yields the records of one wallet.
func (b *book) of(target int) func(yield func(*record) bool) {
	return func(yield func(*record) bool) {
		for _, chunk := range b.chunks {
			for i := range chunk {
				if int(chunk[i].target) == target && !yield(&chunk[i]) {
					return
				}
			}
		}
	}
}
