package journal

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// errLost is for an operator.
var errLost = errors.New("the journal does not have what the ledger's offset asks for")

// failed pauses a partition, for the client tries again at once: for a moment; or, if it has
// not got what the ledger's offset asks for, for good. Whether the topic is there is the
// meeting's matter.
func (r *reader) failed(topic string, partition int32, err error) {
	if topic != r.topic.Name { // the group's trouble, which repeats while its coordinator is away
		if r.repeats.may("group") {
			r.journal.config.Log.Warn("fetch failed", "error", err)
		}
		return
	}
	var loss *kgo.ErrDataLoss
	outOfRange := errors.Is(err, kerr.OffsetOutOfRange) || errors.As(err, &loss)
	revocations, ours := r.noteFailed(partition, err, outOfRange)
	if !ours {
		return
	}
	r.pause(partition)
	if r.repeats.may(fmt.Sprint(partition)) {
		r.journal.config.Log.Warn("fetch failed", "partition", partition, "error", err)
	}
	r.ended.Go(func() {
		switch {
		case outOfRange && r.isComplete(partition):
			r.miss(partition, revocations)
		case outOfRange:
			r.stop(partition, revocations, err)
		default:
			if sleep(r.ctx, fetchAgain) && r.journal.applier.MayFetch(partition) {
				r.resume(partition)
			}
		}
	})
}

// maxUnknown is how often in a row, some second apart, brokers may say that there is no such
// topic until the client is not believed to be able to read it: it may keep to another one of
// that name, of which it heard first.
const maxUnknown = 5

// inARow is how far apart failures may be that count together.
const inARow = 30 * time.Second

// noteFailed notes what a partition's fetch has failed with, and returns how often the partition
// was taken away, and whether it is this replica's and not halted: the client also tells errors
// of others. One that startOffsets was not asked about has failed before it was read.
func (r *reader) noteFailed(partition int32, err error, outOfRange bool) (revocations int, ours bool) {
	if partition < 0 { // it is the topic's
		return 0, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.share(partition)
	if !s.given || s.halted {
		return s.revocations, false
	}
	if errors.Is(err, kerr.UnknownTopicID) {
		if time.Since(s.unknownAt) > inARow {
			s.unknown = 0
		}
		s.unknown, s.unknownAt = s.unknown+1, time.Now()
	}
	s.judged = s.judged || outOfRange
	s.missed = s.missed || !s.asked || s.unknown > maxUnknown || errors.Is(err, errTwoTopics)
	return s.revocations, true
}

// isComplete reports whether the journal has what the ledger's offset of a partition asks
// for: then only the fetch was ahead, of an end that was lost. It asks at once, since others may
// write before they have seen the loss, and then until that is known.
func (r *reader) isComplete(partition int32) bool {
	for {
		next, owned := r.journal.applier.Offsets()[partition]
		starts, ends, _ := r.journal.bounds(r.ctx, r.topic.Name, r.topic.ID) // not of a partition that does not tell
		start, hasStart := starts[partition]
		end, hasEnd := ends[partition]
		if owned && hasStart && hasEnd {
			return start <= next && next <= end
		}
		if !owned || !sleep(r.ctx, fetchAgain) {
			return true
		}
	}
}

// stop gives a partition up until it is revoked, or the topic is met anew; unless it was
// revoked since revocations was read: what was found then says nothing of it now.
func (r *reader) stop(partition int32, revocations int, err error) {
	r.ending.Lock() // whoever gets the partition next is not the one who is halted
	defer r.ending.Unlock()
	if r.revocationsOf(partition) != revocations {
		return
	}
	r.mu.Lock()
	s := r.share(partition)
	s.halted, s.judged = true, false
	r.pause(partition)
	r.mu.Unlock()
	r.journal.applier.Halt(partition, fmt.Errorf("%w: %w", errLost, err))
}

// miss has the journal read anew, with this partition from the ledger's offset, unless it was
// revoked since revocations was read.
func (r *reader) miss(partition int32, revocations int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.share(partition); s.revocations == revocations && !s.halted {
		s.missed, s.judged = true, false
	}
}

// missesSome reports whether a partition that the group has given to this reader is not
// fetched, and will not be before the next assignment: its fetch was ahead of an end that was
// lost, or of another topic of that name, or the client leaves it out since the group's own
// offset of it was refused, although that is not even used. A reader younger than after says
// nothing yet.
func (r *reader) missesSome(after time.Duration) bool {
	if r == nil || time.Since(r.born) < after {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.partitions {
		if s.missed {
			return true
		}
	}
	return false
}
