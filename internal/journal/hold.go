package journal

import (
	"time"

	"github.com/google/uuid"
)

// writeHold is why a partition writer may not write, "" if it may. A look once in watchEvery
// finds which:
//
//	""             ──► holdLost        it ends before what was acknowledged or applied; a record
//	                                   that gets a lost one's offset says so at once
//	holdLost       ──► holdRecovering  it does not end before the ledger's offset: only what the
//	                                   ledger had not come to is lost, or an operator has decided
//	holdRecovering ──► ""              what was lost is applied, or maxRecovery is over
//	any but holdLost ► holdForeign     while the topic is another, or, where nothing was written,
//	                                   may be; then its end decides again
//	at the start   ──► holdUntold      until its end is told
type writeHold string

const (
	holdUntold     writeHold = "where it ends was not told yet"
	holdLost       writeHold = "it has lost its end"
	holdRecovering writeHold = "what was lost is being applied"
	holdForeign    writeHold = "the topic is another, or a broker says so"
)

// look is what the meeting has seen of a topic's partitions, in this order: the ledger's
// offsets, how the partitions were written, their ends. So an end below what was applied or
// acknowledged is a loss, and not an early look.
type look struct {
	written map[int32]written
	ends    map[int32]int64 // without partitions that do not tell
	naming
}

// written is how a partition was written.
type written struct {
	acknowledged int64 // the offset behind the last record that was acknowledged; 0: none
	held         writeHold
}

func (w *topicWriter) written() map[int32]written {
	partitions := make(map[int32]written, len(w.writers))
	for _, p := range w.writers {
		partitions[p.partition] = written{p.next.Load(), p.currentHold()}
	}
	return partitions
}

// look asks which topic is there, and where the partitions of this one end.
func (j *Journal) look(topic uuid.UUID) (known look) {
	if w := j.writer.Load(); w != nil {
		known.written = w.written()
	}
	known.ends, known.naming, _ = j.endsOf(j.ctx, j.config.Topic, topic)
	return known
}

// review holds partitions, or releases them, by what a look has seen. A partition that may
// lack records is held: a new record would get a lost one's offset, and the ledger would skip
// it as applied. The reader stops such a partition only while its end is below the ledger's
// offset; writing would close that gap and hide the loss. A partition that lost only what the
// ledger has not reached is held until the next look agrees, and then until what was
// acknowledged here of that is applied. All are held while the topic is another one: nobody
// applies its records before an operator accepts it. Where nothing was written yet a broker
// that says so is enough.
func (w *topicWriter) review(applied map[int32]int64, known look) {
	first := w.applied == nil
	w.applied = applied
	doubted := known.isDoubted(w.topic.ID)
	foreign := doubted && known.lacks(w.topic.ID)
	for _, p := range w.writers {
		next, was := applied[p.partition], known.written[p.partition]
		p.reached(next)
		end, told := known.ends[p.partition]
		var why writeHold
		switch {
		case doubted && was.held == holdLost:
			why = holdLost // for what was lost is to be applied first
		case foreign, doubted && was.acknowledged == 0 && next == 0: // whose offsets would not tell the two apart
			why = holdForeign
		case told:
			why = w.holdAtEnd(p, end, next, was)
		case first && next > 0:
			why = holdUntold
		default:
			why = w.holdWithoutEnd(next, was.held)
		}
		if p.rehold(was.held, why) && (why == holdLost || why == holdForeign) {
			w.log.Error("a partition of the journal is not written: "+string(why), "partition", p.partition, "ends", end, "applied", next, "acknowledged", was.acknowledged)
		}
	}
}

// holdAll holds all partitions, since the topic is another one.
func (w *topicWriter) holdAll() {
	for _, p := range w.writers {
		if was := p.currentHold(); was != holdLost { // for what was lost is to be applied first
			p.rehold(was, holdForeign)
		}
	}
}

// holdAtEnd is why a partition is held that was written so and that the ledger has applied up
// to next, now that its end is told.
func (w *topicWriter) holdAtEnd(p *partitionWriter, end, next int64, was written) writeHold {
	switch {
	case end < next || was.held != holdLost && was.held != holdRecovering && end < was.acknowledged:
		return holdLost
	case was.held == holdLost || was.held == holdRecovering && end < p.lostFrom:
		w.recoverFrom(p, end, was.acknowledged)
		return w.recovering()
	case was.held != "": // what was lost, with a topic before perhaps, may not be applied yet
		return w.recovering()
	}
	return ""
}

// holdWithoutEnd is the same while the end is unknown: that neither proves nor disproves a loss.
func (w *topicWriter) holdWithoutEnd(next int64, was writeHold) writeHold {
	switch {
	case was == holdRecovering:
		return w.recovering()
	case next == 0 && was == holdUntold: // it has nothing that could be lost
		return ""
	}
	return was
}

// maxRecovery is how long a partition is not written so that what it has lost is applied
// before what comes after it. What is left has to be read before: longer than a reader needs
// to begin anew.
const maxRecovery = 30 * time.Second

// recoverFrom has what was acknowledged from end on applied, which is lost.
func (w *topicWriter) recoverFrom(p *partitionWriter, end, acknowledged int64) {
	w.applier.JournalTruncated(p.partition, end, acknowledged)
	p.next.CompareAndSwap(acknowledged, min(acknowledged, end)) // what is left may be lost yet
	p.lostFrom, w.recoverBy = end, time.Now().Add(maxRecovery)
}

// recovering is why partitions are held that have lost something, "" once they need not be.
func (w *topicWriter) recovering() writeHold {
	if w.applier.Recovering() && time.Now().Before(w.recoverBy) {
		return holdRecovering
	}
	return ""
}

// recoverFirst holds all partitions until what was lost is applied, or maxRecovery.
func (w *topicWriter) recoverFirst() {
	w.recoverBy = time.Now().Add(maxRecovery)
	for _, p := range w.writers {
		p.hold(w.recovering())
	}
}

// endRecovery ends the holds of recoverFirst and recoverFrom once they need not be, also while
// the ledger does not answer.
func (w *topicWriter) endRecovery() {
	for _, p := range w.writers {
		if was := p.currentHold(); was == holdRecovering {
			p.rehold(was, w.recovering())
		}
	}
}

// hold stalls the partition writer, or ends that.
func (p *partitionWriter) hold(why writeHold) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holdLocked(why)
}

// rehold changes the hold from was to why, unless it is not was any more: an acknowledgement
// may have shown meanwhile that the end is lost. It returns whether something has changed.
func (p *partitionWriter) rehold(was, why writeHold) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != was || was == why {
		return false
	}
	p.holdLocked(why)
	return true
}

// holdLocked is hold; mu is held.
func (p *partitionWriter) holdLocked(why writeHold) {
	if p.held = why; why != "" {
		p.giveUp()
	}
}

func (p *partitionWriter) currentHold() writeHold {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}
