package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/walletd/walletd/internal/wallet"
)

// Ledger remembers which topic it follows.
type Ledger interface {
	// Standing returns the topic that the ledger follows, a zero one if it follows none, and
	// the offsets up to which it has applied the partitions.
	Standing(ctx context.Context) (wallet.Topic, map[int32]int64, error)
	// Follow makes the ledger follow the topic if it follows none yet, and returns
	// the one it follows.
	Follow(ctx context.Context, t wallet.Topic) (wallet.Topic, error)
}

const (
	meetEvery   = 500 * time.Millisecond // between tries to meet the topic
	watchEvery  = 2 * time.Second        // between looks whether the ledger still follows it, and whether it can be written
	ledgerGrace = 5 * time.Second        // how long an unknown topic waits for the ledger's word
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
	j.meeting.Go(func() {
		for {
			met, ok := j.untilMet(ledger)
			if !ok {
				return
			}
			now, ok := j.untilLeft(ledger, met)
			if !ok {
				return
			}
			j.leave(now)
		}
	})
}

// untilMet tries to meet the topic until it is written and read; false: Close. While it is
// not the one that the ledger follows, its partitions are stopped.
func (j *Journal) untilMet(ledger Ledger) (wallet.Topic, bool) {
	began, last := time.Now(), ""
	for {
		impatient := time.Since(began) > ledgerGrace
		met, err := j.meet(ledger, impatient)
		// A topic that was just made is not known to the broker at once, and one that is to
		// be made waits for the ledger's word, which at a first start comes with its schema.
		if !errors.Is(err, kerr.UnknownTopicOrPartition) {
			j.closeBegun()
		}
		if err == nil {
			return met, true
		}
		news := err.Error() != last && j.ctx.Err() == nil
		if errors.Is(err, wallet.ErrTopicChanged) && impatient {
			j.halt(met.Partitions, err, news)
		}
		if news {
			last = err.Error()
			level := slog.LevelWarn
			if errors.Is(err, kerr.UnknownTopicOrPartition) && !impatient {
				level = slog.LevelInfo // as in every first start
			}
			j.Log.Log(j.ctx, level, "journal not met yet", "error", err)
		}
		if !sleep(j.ctx, meetEvery) {
			return met, false
		}
		j.mend()
	}
}

// halt stops the partitions until the topic is met: err is for an operator.
func (j *Journal) halt(partitions int32, err error, news bool) {
	if news {
		j.unhalt()
	}
	for ; j.haltedCount < partitions; j.haltedCount++ {
		j.applier.Halt(j.haltedCount, err)
	}
}

func (j *Journal) unhalt() {
	for ; j.haltedCount > 0; j.haltedCount-- {
		j.applier.Revoked(j.haltedCount - 1)
	}
}

// untilLeft watches whether the ledger still follows what was met, and returns
// what it follows when that is something else, or what was met when it has to be read
// anew; false: Close. A ledger that follows nothing was emptied under a running walletd,
// which is no operator's word.
func (j *Journal) untilLeft(ledger Ledger, met wallet.Topic) (wallet.Topic, bool) {
	for sleep(j.ctx, watchEvery) {
		j.mend()
		now, applied, err := ledger.Standing(j.ctx)
		if err == nil && now.ID != uuid.Nil && now != met {
			j.Log.Warn("the ledger goes on with the journal as an operator has accepted it", "topic", now.Name, "id", now.ID, "generation", now.Generation)
			return now, true
		}
		if w := j.writing.Load(); w != nil {
			if err != nil || now != met {
				applied = w.applied // which is no less true
			}
			w.hold(applied, j.ends())
		}
		if r := j.reader.Load(); err == nil && r.missesSome(j.rejoin) {
			j.rejoin = nextRejoin(j.rejoin, time.Since(r.born))
			j.Log.Warn("the journal is read anew: the group gave a partition whose offset it did not tell")
			return met, true
		}
	}
	return met, false
}

// nextRejoin is how long the next reader has to get all its partitions: twice as long as this
// one had, for it may need that, unless this one went well for long.
func nextRejoin(had, age time.Duration) time.Duration {
	if age > 2*rejoinMost {
		had = rejoinFirst
	}
	return min(2*had, rejoinMost)
}

// leave gives the partitions up, and ends writing a topic that is not followed any
// more.
func (j *Journal) leave(now wallet.Topic) {
	if r := j.reader.Swap(nil); r != nil {
		r.close()
	}
	if w := j.writing.Load(); w != nil && w.topic.ID != now.ID {
		j.closePens()
	}
}

// meet finds the topic, makes it if it may (see Start), and has it written and read. It is
// written also while the ledger does not tell what it follows: that is an error, and meet is
// to be called again. ErrTopicChanged: the ledger follows another, which is returned.
func (j *Journal) meet(ledger Ledger, impatient bool) (wallet.Topic, error) {
	known, offsets, lerr := ledger.Standing(j.ctx)
	t, err := j.topicInKafka(j.ctx)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		switch {
		case lerr != nil && !impatient:
			return t, fmt.Errorf("topic %s: %w; whether the ledger follows one is not known: %w", j.Topic, err, lerr)
		case lerr == nil && known.ID != uuid.Nil:
			return known, fmt.Errorf("%w: Kafka has no topic %s; the ledger follows %s with id %s", wallet.ErrTopicChanged, j.Topic, known.Name, known.ID)
		}
		t, err = j.create()
	}
	if err != nil {
		return t, err
	}
	if lerr == nil && known.ID == uuid.Nil {
		known, lerr = ledger.Follow(j.ctx, t)
	}
	if lerr != nil {
		return t, errors.Join(fmt.Errorf("the ledger has not agreed to topic %s: %w", j.Topic, lerr), j.openPens(t, nil, nil))
	}
	t.Generation = known.Generation // the ledger's alone
	if known != t {
		j.closePens()
		return known, fmt.Errorf("%w: it follows %s with id %s and %d partitions; Kafka has id %s with %d",
			wallet.ErrTopicChanged, known.Name, known.ID, known.Partitions, t.ID, t.Partitions)
	}
	ends := j.ends() // after the ledger was asked: who writes meanwhile adds to them
	if err := j.openPens(t, offsets, ends); err != nil {
		return t, err
	}
	if err := j.createLetters(); err != nil {
		j.Log.Warn("a record that does not decode would hold its partition", "error", err)
	}
	j.unhalt()
	return t, j.read(t)
}

// topicInKafka asks Kafka for the topic.
func (j *Journal) topicInKafka(ctx context.Context) (wallet.Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, j.RequestTimeout)
	defer cancel()
	topics, err := j.admin.ListTopics(ctx, j.Topic)
	if err != nil {
		return wallet.Topic{}, fmt.Errorf("%w: %w", wallet.ErrUnreachable, err)
	}
	d, ok := topics[j.Topic]
	if !ok {
		return wallet.Topic{}, kerr.UnknownTopicOrPartition
	}
	if d.Err != nil {
		return wallet.Topic{}, d.Err
	}
	return wallet.Topic{Name: j.Topic, ID: uuid.UUID(d.ID), Partitions: int32(len(d.Partitions))}, nil
}

// create makes the journal's topic and returns it as Kafka has it.
func (j *Journal) create() (wallet.Topic, error) {
	if err := j.createTopic(j.Topic, j.Partitions, maxRecordBytes); err != nil {
		return wallet.Topic{}, err
	}
	j.Log.Info("journal topic created", "topic", j.Topic, "partitions", j.Partitions, "replication", j.Replication)
	return j.topicInKafka(j.ctx)
}

// maxRecordBytes bounds a journal record, as brokers do unless told otherwise.
const maxRecordBytes = 1 << 20

// createTopic makes a topic that is kept for ever and never compacted, of which no leader
// lacks acknowledged records; nil if it is there.
func (j *Journal) createTopic(name string, partitions int32, maxBytes int) error {
	ctx, cancel := context.WithTimeout(j.ctx, j.RequestTimeout)
	defer cancel()
	insync := "1"
	if j.Replication >= 3 {
		insync = "2"
	}
	_, err := j.admin.CreateTopic(ctx, partitions, j.Replication, map[string]*string{
		"cleanup.policy":                 kadm.StringPtr("delete"),
		"retention.ms":                   kadm.StringPtr("-1"),
		"retention.bytes":                kadm.StringPtr("-1"),
		"unclean.leader.election.enable": kadm.StringPtr("false"),
		"min.insync.replicas":            kadm.StringPtr(insync),
		"max.message.bytes":              kadm.StringPtr(strconv.Itoa(maxBytes)),
	}, name)
	switch {
	case errors.Is(err, kerr.TopicAlreadyExists):
		return nil
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		// A user who may not create topics gets this refusal also for one that exists.
		if topics, lerr := j.admin.ListTopics(ctx, name); lerr == nil && topics.Has(name) {
			return nil
		}
	}
	return err
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
