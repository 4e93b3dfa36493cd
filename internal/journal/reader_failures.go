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

// failed pauses a partition, for the client tries again at once: for a moment, or until the
// meeting has decided about it.
func (r *reader) failed(topic string, partition int32, err error) {
	if topic != r.topic.Name { // the group's trouble, which repeats while its coordinator is away
		if r.repeats.may("group") {
			r.journal.config.Log.Warn("fetch failed", "error", err)
		}
		return
	}
	if !r.noteFailed(partition, err) {
		return
	}
	r.pause(partition)
	if r.repeats.may(fmt.Sprint(partition)) {
		r.journal.config.Log.Warn("fetch failed", "partition", partition, "error", err)
	}
	r.ended.Go(func() {
		if sleep(r.ctx, fetchAgain) && r.journal.applier.MayFetch(partition) {
			r.resume(partition)
		}
	})
}

// maxUnknown is how often in a row, some second apart, brokers may say that there is no such
// topic until the client is not believed to be able to read it: it may keep to another one of
// that name, of which it heard first.
const maxUnknown = 5

// noteFailed notes what a partition's fetch has failed with, and returns whether the partition
// is this replica's and not halted: the client also tells errors of others. One that startOffsets
// was not asked about has failed before it was read.
func (r *reader) noteFailed(partition int32, err error) (ours bool) {
	if partition < 0 { // it is the topic's
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.share(partition)
	if !s.given || s.halted {
		return false
	}
	var loss *kgo.ErrDataLoss
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange) || errors.As(err, &loss):
		s.outside = err
	case errors.Is(err, kerr.UnknownTopicID):
		s.unknown++
		s.missed = s.missed || s.unknown > maxUnknown
	case errors.Is(err, errTwoTopics):
		s.missed = true
	}
	s.missed = s.missed || !s.asked
	return true
}

// judge decides about the partitions whose fetch was outside of what is there. One that the
// ledger's offset is outside of too, as a look has shown, is stopped for an operator, or until
// that is not so any more. Of the others only the fetch was ahead, of an end that was lost: they
// are missed.
func (r *reader) judge(applied map[int32]int64, known look) {
	outside := r.outside()
	if len(outside) == 0 {
		return
	}
	starts, _ := r.journal.startsOf(r.ctx, r.topic.Name) // not of a partition that does not tell
	for partition, s := range outside {
		start, hasStart := starts[partition]
		end, hasEnd := known.ends[partition]
		switch next := applied[partition]; {
		case !hasStart || !hasEnd:
		case start <= next && next <= end:
			r.miss(partition, s.revocations)
		case !s.halted:
			r.stop(partition, s.revocations, s.outside)
		}
	}
}

// outside returns what is known of the partitions that judge decides about.
func (r *reader) outside() map[int32]share {
	r.mu.Lock()
	defer r.mu.Unlock()
	outside := map[int32]share{}
	for partition, s := range r.partitions {
		if s.outside != nil && !s.missed {
			outside[partition] = *s
		}
	}
	return outside
}

// stop gives a partition up until it is revoked, or missed; unless it was revoked since
// revocations was read: what was found then says nothing of it now.
func (r *reader) stop(partition int32, revocations int, err error) {
	r.ending.Lock() // whoever gets the partition next is not the one who is halted
	defer r.ending.Unlock()
	if r.revocationsOf(partition) != revocations {
		return
	}
	r.mu.Lock()
	r.share(partition).halted = true
	r.pause(partition)
	r.mu.Unlock()
	r.journal.applier.Halt(partition, fmt.Errorf("%w: %w", errLost, err))
}

// miss has the journal read anew, with this partition from the ledger's offset, unless it was
// revoked since revocations was read.
func (r *reader) miss(partition int32, revocations int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.share(partition); s.revocations == revocations {
		s.missed = true
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
