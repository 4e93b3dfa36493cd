// Package audit proves that the three places agree: it replays the journal from
// its beginning, decides every operation again by rules of its own, and compares
// that with the ledger and the cache. It knows none of them: what it asks is in
// the interfaces beside it. It only reads, in small pages, and holds no lock, so
// that it may run beside a system at work: the bounds it takes first say how far
// the ledger had to be, and what moves meanwhile is met in the journal's tail.
//
// Memory: some 80 bytes for each wallet; 300 for each operation that is requeued, 150
// for one that is in the ledger before its record is met in the journal (the direct operations
// of one outage, what is applied during the audit); one page.
package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Config is what an Audit is made of.
type Config struct {
	Ledger  Ledger
	Journal Journal
	Cache   Cache

	PartitionAmong func(walletID uuid.UUID, partitions int32) int32 // of so many, the one of a wallet's records

	Wallet uuid.UUID // the only one to look at; Nil: all
	// Began is told how many records there are to look at, and how to ask how many
	// were; nil: nobody wants to know.
	Began func(records int64, done func() int64)
}

// Audit is one run.
type Audit struct {
	Config
	report Report

	partitions     int32
	starts, bounds map[int32]int64 // what was replayed: the ledger had to have all of it
	accounts       map[uuid.UUID]account
	waiting        map[wallet.Key]waiting // journaled, and requeued when it was met
	entries        map[entry]bool         // of requeued lists, whose record was met
	owed           map[wallet.Key]owed    // in the ledger, and its record not met yet
	refused        map[wallet.Key]bool    // of no wallet, as met in the journal
	poison         []wallet.Receipt

	done atomic.Int64 // records
}

// New returns an audit to be run once.
func New(cfg Config) *Audit {
	return &Audit{Config: cfg, accounts: map[uuid.UUID]account{}, waiting: map[wallet.Key]waiting{}, entries: map[entry]bool{},
		owed: map[wallet.Key]owed{}, refused: map[wallet.Key]bool{}}
}

// The bounds of one look.
const (
	pageOperations = 1_000
	pageWallets    = 1_000
)

// ErrIncomplete wraps why an audit could not be brought to its end: a component
// did not answer. What was found until then is in the report.
var ErrIncomplete = errors.New("the audit is incomplete")

// Run audits. The cache alone may be away: the report then says that it was not
// looked at.
func (a *Audit) Run(ctx context.Context) (*Report, error) {
	began := time.Now()
	err := a.run(ctx)
	a.report.Seconds = time.Since(began).Seconds()
	if err != nil {
		return &a.report, fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	return &a.report, nil
}

func (a *Audit) run(ctx context.Context) error {
	same, err := a.begin(ctx)
	if err != nil || !same {
		return err
	}
	for _, step := range []func(context.Context) error{a.replay, a.deadLetters, a.wallets, a.strays, a.stillThere, a.lists, a.tail, a.cache} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin takes the bounds: first the ledger's offsets, then the journal's extent,
// which has to contain them. It is false if there is nothing to compare: the
// ledger follows another topic than the one that is there.
func (a *Audit) begin(ctx context.Context) (bool, error) {
	known, err := again(ctx, func() (t wallet.Topic, err error) {
		t, a.bounds, err = a.Ledger.Followed(ctx)
		return t, err
	})
	if err != nil {
		return false, err
	}
	there, err := a.Journal.Extent(ctx)
	if err != nil {
		return false, err
	}
	a.report.Topic = known.Name
	there.Generation = known.Generation // the ledger's alone
	if there.ID == uuid.Nil {
		a.find(Finding{Kind: TopicDiffers}, "the ledger follows %s with id %s; Kafka has no such topic", known.Name, known.ID)
		return false, nil
	}
	if known != there.Topic {
		a.find(Finding{Kind: TopicDiffers}, "the ledger follows %s with id %s and %d partitions; Kafka has %s with id %s and %d",
			known.Name, known.ID, known.Partitions, there.Name, there.ID, there.Partitions)
		return false, nil
	}
	a.partitions, a.starts = known.Partitions, there.Starts
	for p := range there.Starts {
		if _, read := a.bounds[p]; !read {
			a.bounds[p] = 0
		}
	}
	if a.Wallet != uuid.Nil {
		p := a.PartitionAmong(a.Wallet, known.Partitions)
		maps.DeleteFunc(a.bounds, func(q int32, _ int64) bool { return p != q })
	}
	a.checkOffsets(there.Ends)
	return true, nil
}

// checkOffsets checks that the journal has what the ledger's offsets say that it
// has read, and bounds the replay by what is there.
func (a *Audit) checkOffsets(ends map[int32]int64) {
	total := int64(0)
	for p, next := range a.bounds {
		start, end := a.starts[p], ends[p]
		if next > end {
			a.find(Finding{Kind: OffsetOutside, Partition: &p, Offset: &next}, "the ledger's next offset is beyond the journal's end %d: the journal has lost records, or was restored", end)
		}
		if start > 0 {
			a.find(Finding{Kind: OffsetOutside, Partition: &p, Offset: &start}, "the journal begins here: what was before is gone")
		}
		a.bounds[p] = max(start, min(next, end))
		a.report.InFlight += max(0, end-next)
		total += a.bounds[p] - start
	}
	if a.Began != nil {
		a.Began(total, a.done.Load)
	}
}

// walk is where a look at the wallets in order of their ids begins, and how many it takes at
// once: at all, or at the one that is asked about.
func (a *Audit) walk() (after uuid.UUID, limit int) {
	if a.Wallet != uuid.Nil {
		return before(a.Wallet), 1
	}
	return uuid.Nil, pageWallets
}

// The patience with a ledger that does not answer for a moment.
const (
	tries      = 5
	betweenTry = time.Second
)

// again tries a read of the ledger a bounded number of times.
func again[T any](ctx context.Context, read func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		v, err := read()
		if err == nil || try == tries || ctx.Err() != nil {
			return v, err
		}
		select {
		case <-time.After(betweenTry):
		case <-ctx.Done():
			return v, err
		}
	}
}
