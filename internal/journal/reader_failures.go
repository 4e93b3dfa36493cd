package journal

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/wallet"
)

// errLost is for an operator.
var errLost = errors.New("the journal does not have what the ledger's offset asks for")

// failed stops a partition whose records are not there any more, or whose topic
// is another one; everything else may pass. The client tries again at once, so a
// partition that fails is paused: for good, or for a moment.
func (r *reader) failed(topic string, partition int32, err error) {
	if topic != r.topic.Name { // the group's trouble, which repeats while its coordinator is away
		if r.repeats.may("group") {
			r.journal.config.Log.Warn("fetch failed", "error", err)
		}
		return
	}
	var loss *kgo.ErrDataLoss
	outOfRange := errors.Is(err, kerr.OffsetOutOfRange) || errors.As(err, &loss)
	revocations, ours := r.noteFailed(partition)
	if !ours {
		return // the client also tells errors of partitions that were halted, or taken away, since
	}
	r.pause(partition)
	if r.repeats.may(fmt.Sprint(partition)) {
		r.journal.config.Log.Warn("fetch failed", "partition", partition, "error", err)
	}
	r.ended.Go(func() {
		switch {
		case (outOfRange || errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, errTwoTopics)) && !r.isThere():
			r.stop(partition, revocations, err)
		case outOfRange && r.isComplete(partition):
			r.miss(partition, revocations)
		case outOfRange:
			r.stop(partition, revocations, err)
		case errors.Is(err, kerr.UnknownTopicID) && r.countUnknown(partition) > maxMissed:
			r.miss(partition, revocations) // the client may keep to another topic of that name, of which it heard first
		default:
			if sleep(r.ctx, fetchAgain) && r.journal.applier.MayFetch(partition) {
				r.resume(partition)
			}
		}
	})
}

// noteFailed returns how often a partition was taken away, and whether it is this replica's and
// not halted. If startOffsets was not asked about it, it has failed before it was read: it is
// missed.
func (r *reader) noteFailed(partition int32) (revocations int, ours bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.share(partition)
	ours = partition < 0 || s.given && !s.halted // below 0: it is the topic's
	if ours && !s.asked && partition >= 0 {
		s.missed = true
	}
	return s.revocations, ours
}

// maxMissed is how often in a row, some second apart, brokers may say that there is no such topic
// until that is believed; or, where it is there, until the client is not any more.
const maxMissed = 5

// inARow is how far apart failures may be that count together.
const inARow = 30 * time.Second

// countUnknown counts that a broker does not know the topic, and returns how often in a row.
func (r *reader) countUnknown(partition int32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.share(partition)
	if time.Since(s.unknownAt) > inARow {
		s.unknown = 0
	}
	s.unknown, s.unknownAt = s.unknown+1, time.Now()
	return s.unknown
}

// isThere asks whether the topic is the one that is read, until that is known: a broker
// may not have learnt of it yet that leads a partition, or answers this question.
func (r *reader) isThere() bool {
	for missed := 0; ; {
		switch now, err := r.journal.topicInKafka(r.ctx, r.topic.ID); {
		case err == nil:
			return now.ID == r.topic.ID
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			if missed++; missed > maxMissed {
				return false
			}
		case !errors.Is(err, wallet.ErrUnreachable):
			return true // the next fetch says what it is
		}
		if !sleep(r.ctx, fetchAgain) {
			return true
		}
	}
}

// isComplete reports whether the journal has what the ledger's offset of a partition asks
// for: then only the fetch was ahead, of an end that was lost. It asks until that is known, or
// the topic has gone.
func (r *reader) isComplete(partition int32) bool {
	for {
		next, owned := r.journal.applier.Offsets()[partition]
		starts, ends, err := r.journal.bounds(r.ctx, r.topic.Name, r.topic.ID) // not of a partition that does not tell
		start, hasStart := starts[partition]
		end, hasEnd := ends[partition]
		if owned && hasStart && hasEnd {
			return start <= next && next <= end
		}
		if errors.Is(err, errTwoTopics) && !r.isThere() {
			return false
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
