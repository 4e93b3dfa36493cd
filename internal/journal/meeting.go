package journal

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/walletd/walletd/internal/wallet"
)

const (
	meetEvery   = 500 * time.Millisecond // between tries to meet the topic
	watchEvery  = 2 * time.Second        // between looks whether the ledger still follows it, and whether it can be written
	ledgerGrace = 5 * time.Second        // how long an unknown topic waits for the ledger's word
	maxLacking  = 3                      // looks in a row in which no broker tells of the topic, until it is left
)

// Start meets the topic, as soon as Kafka answers, and from then on writes it;
// and reads it from when the ledger agrees that it is the one. It tries for as
// long as it takes, until Close. A topic is created only if the ledger follows
// none, or has not answered for a while: its word is then heard later. When an
// operator has the ledger follow another topic, or go on from other offsets, the
// topic is left and met anew.
func (j *Journal) Start(ledger Ledger, applier Applier) {
	j.applier = applier
	j.running.Go(func() { j.brokers.Run(j.ctx) })
	m := &meeting{journal: j, ledger: ledger, rejoin: minRejoin}
	j.meeting.Go(m.run)
}

// meeting meets the topic and leaves it, for as long as the journal is open. Only its own
// goroutine uses it.
type meeting struct {
	journal *Journal
	ledger  Ledger
	written uuid.UUID     // the topic that was written last
	follows wallet.Topic  // the one that the ledger follows, as it has said last
	halted  int32         // partitions, from 0 on, that were stopped because what the ledger follows is not there
	rejoin  time.Duration // until a reader that misses a partition makes room for another
}

func (m *meeting) run() {
	for {
		met, ok := m.untilMet()
		if !ok {
			return
		}
		now, ok := m.untilLeft(met)
		if !ok {
			return
		}
		m.leave(now)
	}
}

// untilMet tries to meet the topic until it is written and read; false: Close. While it is
// not the one that the ledger follows, its partitions are stopped.
func (m *meeting) untilMet() (wallet.Topic, bool) {
	j, began, last := m.journal, time.Now(), ""
	for {
		impatient := time.Since(began) > ledgerGrace
		met, err := m.meet(impatient)
		// A topic that was just made is not known to the broker at once, and one that is to
		// be made waits for the ledger's word, which at a first start comes with its schema.
		// Nor is it to each broker that has just begun.
		isEarly := errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, errTwoTopics) && !impatient
		if !isEarly {
			j.closeBegun()
		}
		if err == nil {
			return met, true
		}
		news := err.Error() != last && j.ctx.Err() == nil
		if errors.Is(err, wallet.ErrTopicChanged) && impatient {
			if news {
				m.unhalt() // for another reason
			}
			m.halt(met.Partitions, err)
		}
		if news {
			last = err.Error()
			level := slog.LevelWarn
			if errors.Is(err, kerr.UnknownTopicOrPartition) && !impatient {
				level = slog.LevelInfo // as in every first start
			}
			j.config.Log.Log(j.ctx, level, "journal not ready yet", "error", err)
		}
		if !sleep(j.ctx, meetEvery) {
			return met, false
		}
		j.mend()
	}
}

// halt stops the partitions until the topic is met: err is for an operator.
func (m *meeting) halt(partitions int32, err error) {
	for ; m.halted < partitions; m.halted++ {
		m.journal.applier.Halt(m.halted, err)
	}
}

func (m *meeting) unhalt() {
	for ; m.halted > 0; m.halted-- {
		m.journal.applier.Revoked(m.halted - 1)
	}
}

// untilLeft watches whether the ledger still follows what was met, and returns
// what it follows when that is something else, or what was met when it is not there any more,
// or has to be read anew; false: Close. A ledger that follows nothing was emptied under a
// running walletd, which is no operator's word.
func (m *meeting) untilLeft(met wallet.Topic) (wallet.Topic, bool) {
	j := m.journal
	for lacking := 0; sleep(j.ctx, watchEvery); {
		j.mend()
		now, applied, err := m.ledger.Followed(j.ctx)
		if err == nil && now.ID != uuid.Nil && now != met {
			m.follows = now
			j.config.Log.Warn("the ledger goes on with the journal as an operator has accepted it", "topic", now.Name, "id", now.ID, "generation", now.Generation)
			return now, true
		}
		known := j.look(met.ID)
		if w := j.writer.Load(); w != nil {
			if err != nil || now != met {
				applied = w.applied // which is no less true
			}
			w.review(applied, known)
		}
		if lacking++; err != nil || now != met || !known.lacks(met.ID) {
			lacking = 0
		}
		if lacking == maxLacking {
			return met, true
		}
		if r := j.reader.Load(); err == nil && now == met && r.missesSome(m.rejoin) {
			m.rejoin = nextRejoin(m.rejoin, time.Since(r.born))
			j.config.Log.Warn("the journal is read anew, for a partition of this replica is not fetched")
			return met, true
		}
	}
	return met, false
}

// nextRejoin is how long the next reader has to get all its partitions: twice as long as this
// one had, for it may need that, unless this one went well for long.
func nextRejoin(had, age time.Duration) time.Duration {
	if age > 2*maxRejoin {
		had = minRejoin
	}
	return min(2*had, maxRejoin)
}

// leave gives the partitions up, and ends writing a topic that is not followed any
// more.
func (m *meeting) leave(now wallet.Topic) {
	if r := m.journal.reader.Swap(nil); r != nil {
		r.close()
	}
	if w := m.journal.writer.Load(); w != nil && w.topic.ID != now.ID {
		m.journal.closeWriter()
	}
}

// meet finds the topic, makes it if it may (see Start), and has it written and read. It is
// written also while the ledger does not tell what it follows: that is an error, and meet is
// to be called again. ErrTopicChanged: the ledger follows another, which is returned.
func (m *meeting) meet(impatient bool) (wallet.Topic, error) {
	j := m.journal
	known, offsets, lerr := m.ledger.Followed(j.ctx)
	expected := known.ID
	switch {
	case lerr != nil:
		expected = cmp.Or(m.follows.ID, m.written)
	case known.ID != uuid.Nil: // noted at once, for the ledger may be silent by the time that Kafka tells of a topic
		m.follows = known
	}
	t, err := j.topicInKafka(j.ctx, expected)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		switch {
		case lerr != nil && (!impatient || expected != uuid.Nil):
			return t, fmt.Errorf("topic %s: %w; whether the ledger follows one is not known: %w", j.config.Topic, err, lerr)
		case lerr == nil && known.ID != uuid.Nil:
			return known, fmt.Errorf("%w: Kafka has no topic %s; the ledger follows %s with id %s", wallet.ErrTopicChanged, j.config.Topic, known.Name, known.ID)
		}
		t, err = j.create()
	}
	if err != nil {
		return t, err
	}
	if lerr == nil && known.ID == uuid.Nil {
		known, lerr = m.ledger.Follow(j.ctx, t)
	}
	switch {
	case lerr == nil:
		m.follows = known
	case m.follows.ID != uuid.Nil && (m.follows.ID != t.ID || m.follows.Partitions != t.Partitions):
		m.endWriting(m.follows)
		return t, fmt.Errorf("topic %s has id %s and %d partitions in Kafka; the ledger followed %s with %d when it last answered: %w",
			j.config.Topic, t.ID, t.Partitions, m.follows.ID, m.follows.Partitions, lerr)
	default:
		return t, errors.Join(fmt.Errorf("the ledger has not agreed to topic %s: %w", j.config.Topic, lerr), m.openWriter(t, nil))
	}
	t.Generation = known.Generation // the ledger's alone
	if known != t {
		m.endWriting(known)
		return known, fmt.Errorf("%w: it follows %s with id %s and %d partitions; Kafka has id %s with %d",
			wallet.ErrTopicChanged, known.Name, known.ID, known.Partitions, t.ID, t.Partitions)
	}
	if err := m.openWriter(t, offsets); err != nil {
		return t, err
	}
	if err := j.createDeadLetterTopic(); err != nil {
		j.config.Log.Warn("dead-letter topic missing: a record that does not decode would stop its partition", "error", err)
	}
	m.unhalt()
	return t, j.read(t)
}

// endWriting ends writing a topic that the ledger does not follow, and holds the one that it
// follows, which may come back.
func (m *meeting) endWriting(follows wallet.Topic) {
	w := m.journal.writer.Load()
	if w != nil && w.topic.ID == follows.ID && w.topic.Partitions == follows.Partitions {
		w.holdAll()
		return
	}
	m.journal.closeWriter()
}

// openWriter starts writing the topic, unless it is being written. applied are the ledger's
// offsets, if it has told them.
func (m *meeting) openWriter(t wallet.Topic, applied map[int32]int64) error {
	j := m.journal
	known := j.look(t.ID) // after the ledger was asked: who writes meanwhile adds to it
	if w := j.writer.Load(); w != nil && w.topic.ID == t.ID {
		if applied == nil {
			applied = w.applied // which is no less true
		}
		if applied != nil {
			w.review(applied, known)
		} else {
			w.endRecovery()
		}
		return nil
	}
	if known.isDoubted(t.ID) { // a new client keeps to the first that it hears of
		return errTwoTopics
	}
	j.closeWriter()
	replaced := m.written != t.ID && m.written != uuid.Nil
	if replaced {
		j.applier.JournalReplaced()
	}
	w, err := j.newTopicWriter(t)
	if err != nil {
		return err
	}
	m.written = t.ID
	if replaced {
		w.recoverFirst()
	}
	if applied != nil {
		known.written = w.written()
		w.review(applied, known)
	}
	j.writer.Store(w)
	j.config.Log.Info("journal ready", "topic", t.Name, "id", t.ID, "partitions", t.Partitions)
	return nil
}
