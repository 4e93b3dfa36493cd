package applier

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	"github.com/walletd/walletd/internal/wallet"
)

func at(offset int64) wallet.Record {
	return wallet.Record{Kind: wallet.KindOperations, Receipt: wallet.Receipt{Offset: offset}, Operations: make([]wallet.Operation, 1)}
}

func span(from, to int64) []wallet.Record {
	var records []wallet.Record
	for o := from; o < to; o++ {
		records = append(records, at(o))
	}
	return records
}

// takeAll takes everything that has arrived, without waiting.
func takeAll(d *door) (offsets []int64) {
	for {
		select {
		case <-d.ready:
			d.ready <- struct{}{}
		default:
			return offsets
		}
		records, _, _ := d.take(context.Background(), 5)
		for _, r := range records {
			offsets = append(offsets, r.Receipt.Offset)
		}
	}
}

// acknowledge lets a record in as Deliver does.
func acknowledge(d *door, r wallet.Record) {
	if d.acknowledged(r) > 0 {
		d.signal()
	}
}

// The reader fetches each offset once and in order; acknowledgements of the same
// records come whenever they like, or never, or twice.
func TestTheDoorLetsEachOffsetInOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		begin := rapid.Int64Range(0, 5).Draw(t, "begin")
		end := begin + rapid.Int64Range(1, 60).Draw(t, "records")
		d := newDoor(begin, rapid.IntRange(1, 20).Draw(t, "most"))
		var got []int64
		taking := func() {
			offsets := takeAll(d)
			got = append(got, offsets...)
		}
		// The reader may begin before the door's offset: what was passed is dropped.
		for fetched := max(0, begin-2); fetched < end; {
			for range rapid.IntRange(0, 3).Draw(t, "acknowledgements") {
				acknowledge(d, at(rapid.Int64Range(0, end-1).Draw(t, "acknowledged")))
			}
			if rapid.Bool().Draw(t, "take") {
				taking()
			}
			to := min(end, fetched+rapid.Int64Range(0, 7).Draw(t, "fetch"))
			if !d.fetched(span(fetched, to)) {
				taking() // as the reader does, which is told to wait
			}
			fetched = to
		}
		taking()
		for i, o := range got {
			if o != begin+int64(i) {
				t.Fatalf("begun at %d, taken %v", begin, got)
			}
		}
		if int64(len(got)) != end-begin {
			t.Fatalf("taken %d of %d: %v", len(got), end-begin, got)
		}
	})
}

func TestAnAcknowledgedRecordBehindAGapWaitsForTheFetch(t *testing.T) {
	d := newDoor(10, 100)
	acknowledge(d, at(12))
	if got := takeAll(d); len(got) != 0 {
		t.Fatalf("taken %v before the records between", got)
	}
	acknowledge(d, at(10))
	acknowledge(d, at(10))
	d.fetched(span(10, 13))
	if got := takeAll(d); len(got) != 3 || got[2] != 12 {
		t.Fatalf("taken %v", got)
	}
}

// Offsets that no record has (a transaction's marker) are no gap.
func TestAFetchMaySkipOffsets(t *testing.T) {
	d := newDoor(0, 100)
	d.fetched([]wallet.Record{at(0), at(3), at(7)})
	acknowledge(d, at(8))
	if got := takeAll(d); len(got) != 4 || got[3] != 8 {
		t.Fatalf("taken %v", got)
	}
}

func TestAFullDoorPausesTheFetchUntilHalfIsTaken(t *testing.T) {
	d := newDoor(0, 10)
	if !d.fetched(span(0, 9)) {
		t.Fatal("paused below the bound")
	}
	if d.fetched(span(9, 10)) {
		t.Fatal("not paused at the bound")
	}
	acknowledge(d, at(10)) // no room: the fetch brings it later
	if d.next != 10 {
		t.Fatalf("an acknowledged record passed the bound: next is %d", d.next)
	}
	records, resume, _ := d.take(context.Background(), 5)
	if len(records) != 5 || resume {
		t.Fatalf("%d taken, resume %t: half is still there", len(records), resume)
	}
	if records, resume, _ := d.take(context.Background(), 1); len(records) != 1 || !resume {
		t.Fatalf("%d taken, resume %t", len(records), resume)
	}
	if records, resume, _ := d.take(context.Background(), 9); len(records) != 4 || resume {
		t.Fatalf("%d taken, resumed again %t", len(records), resume)
	}
}

func TestTakeReturnsAtLeastOneRecordHoweverBigAndEndsWithItsContext(t *testing.T) {
	d := newDoor(0, 100)
	big := at(0)
	big.Operations = make([]wallet.Operation, 50)
	d.fetched([]wallet.Record{big, at(1)})
	if records, _, ok := d.take(context.Background(), 10); !ok || len(records) != 1 {
		t.Fatalf("%d taken, %t", len(records), ok)
	}
	if records, _, ok := d.take(context.Background(), 10); !ok || len(records) != 1 {
		t.Fatalf("%d taken, %t", len(records), ok)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, ok := d.take(ctx, 10); ok {
		t.Fatal("taken from an empty door")
	}
}
