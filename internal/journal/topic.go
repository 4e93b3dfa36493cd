package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/walletd/walletd/internal/wallet"
)

// topicInKafka asks Kafka for the topic, which is expected to have an id, unless that is Nil. A
// broker may not have learnt that it was made, or made anew: if whoever answers does not tell of
// the expected one, and another does, or most do not answer, the answer is errTwoTopics.
func (j *Journal) topicInKafka(ctx context.Context, expected uuid.UUID) (wallet.Topic, error) {
	t, err := j.topicAsTold(ctx)
	differs := err == nil && t.ID != expected || errors.Is(err, kerr.UnknownTopicOrPartition)
	if expected == uuid.Nil || !differs {
		return t, err
	}
	if !j.askLeaders(ctx, j.config.Topic).lacks(expected) {
		return wallet.Topic{}, errTwoTopics
	}
	return t, err
}

// topicAsTold asks whoever answers.
func (j *Journal) topicAsTold(ctx context.Context) (wallet.Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, j.config.RequestTimeout)
	defer cancel()
	topics, err := j.admin.ListTopics(ctx, j.config.Topic)
	if err != nil {
		return wallet.Topic{}, fmt.Errorf("%w: %w", wallet.ErrUnreachable, err)
	}
	d, ok := topics[j.config.Topic]
	if !ok {
		return wallet.Topic{}, kerr.UnknownTopicOrPartition
	}
	if d.Err != nil {
		return wallet.Topic{}, d.Err
	}
	return wallet.Topic{Name: j.config.Topic, ID: uuid.UUID(d.ID), Partitions: int32(len(d.Partitions))}, nil
}

// create makes the journal's topic and returns it as Kafka has it.
func (j *Journal) create() (wallet.Topic, error) {
	if err := j.createTopic(j.config.Topic, j.config.Partitions, maxRecordBytes); err != nil {
		return wallet.Topic{}, err
	}
	j.config.Log.Info("journal topic created", "topic", j.config.Topic, "partitions", j.config.Partitions, "replication", j.config.Replication)
	return j.topicInKafka(j.ctx, uuid.Nil)
}

// maxRecordBytes bounds a journal record, as brokers do unless told otherwise.
const maxRecordBytes = 1 << 20

// minCopies is on how many brokers an acknowledged record is, if the topic has as many.
const minCopies = 2

// createTopic makes a topic that is kept for ever and never compacted, of which no leader
// lacks acknowledged records; nil if it is there.
func (j *Journal) createTopic(name string, partitions int32, maxBytes int) error {
	ctx, cancel := context.WithTimeout(j.ctx, j.config.RequestTimeout)
	defer cancel()
	_, err := j.admin.CreateTopic(ctx, partitions, j.config.Replication, map[string]*string{
		"cleanup.policy":                 new("delete"),
		"retention.ms":                   new("-1"),
		"retention.bytes":                new("-1"),
		"unclean.leader.election.enable": new("false"),
		"min.insync.replicas":            new(strconv.Itoa(min(minCopies, int(j.config.Replication)))),
		"max.message.bytes":              new(strconv.Itoa(maxBytes)),
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
