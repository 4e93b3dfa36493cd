package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/walletd/walletd/internal/wallet"
)

// Status is the journal as Kafka has it, beside what the ledger follows.
type Status struct {
	Ledger     wallet.Topic // zero: it follows none
	Kafka      wallet.Topic // zero: there is none of that name
	Partitions []Partition  // of whichever has more
}

// Partition is one partition's part of a Status.
type Partition struct {
	Partition  int32
	Next       int64 // the ledger's offset; -1: it has none yet
	Start, End int64 // of what Kafka has; -1: it does not have the partition
	Stopped    error // why nothing of it is applied; nil: it is
}

// Lag is how many offsets are to be applied yet; -1 when that cannot be said.
func (p Partition) Lag() int64 {
	if p.Stopped != nil || p.End < 0 {
		return -1
	}
	return p.End - max(p.Next, 0)
}

// Status asks Kafka for the journal and compares it with what the ledger follows.
func (j *Journal) Status(ctx context.Context, follows wallet.Topic, offsets map[int32]int64) (Status, error) {
	there, err := j.Extent(ctx)
	if err != nil {
		return Status{Ledger: follows}, err
	}
	if there.ID != uuid.Nil {
		there.Generation = follows.Generation // the ledger's alone
	}
	s := Status{Ledger: follows, Kafka: there.Topic}
	for p := range max(follows.Partitions, s.Kafka.Partitions) {
		s.Partitions = append(s.Partitions, s.partition(p, offsets, there))
	}
	return s, nil
}

// Extent returns the topic that is there now.
func (j *Journal) Extent(ctx context.Context) (wallet.Extent, error) {
	t, err := j.topicInKafka(ctx, uuid.Nil)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return wallet.Extent{}, nil
	}
	if err != nil {
		return wallet.Extent{}, err
	}
	starts, ends, err := j.bounds(ctx, j.config.Topic, t.ID)
	return wallet.Extent{Topic: t, Starts: starts, Ends: ends}, err
}

// bounds asks for the first and the next offset of each partition of a topic. With an error
// those of some are there.
func (j *Journal) bounds(ctx context.Context, name string, id uuid.UUID) (starts, ends map[int32]int64, err error) {
	starts, err = j.startsOf(ctx, name)
	ends, _, endsErr := j.endsOf(ctx, name, id)
	if err = errors.Join(err, endsErr); err != nil {
		err = fmt.Errorf("%w: offsets of %s: %w", wallet.ErrUnreachable, name, err)
	}
	return starts, ends, err
}

func (j *Journal) startsOf(ctx context.Context, name string) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, j.config.RequestTimeout)
	defer cancel()
	return listedOffsets(j.admin.ListStartOffsets(ctx, name))
}

func (s Status) partition(number int32, offsets map[int32]int64, there wallet.Extent) Partition {
	p := Partition{Partition: number, Next: -1, Start: -1, End: -1}
	if next, ok := offsets[number]; ok {
		p.Next = next
	}
	if start, ok := there.Starts[number]; ok {
		p.Start = start
	}
	if end, ok := there.Ends[number]; ok {
		p.End = end
	}
	p.Stopped = s.stopped(p)
	return p
}

// stopped says why a partition cannot be applied, as replicas find it.
func (s Status) stopped(p Partition) error {
	next := max(p.Next, 0)
	switch {
	case s.Ledger.ID == uuid.Nil:
		return nil // it will follow the topic that it meets
	case s.Kafka.ID == uuid.Nil:
		return errors.New("Kafka has no such topic") //nolint:revive,staticcheck // a name
	case s.Kafka != s.Ledger:
		return errors.New("the topic is another than the one the ledger follows")
	case next < p.Start:
		return fmt.Errorf("offsets %d to %d are gone from the journal", next, p.Start-1)
	case next > p.End:
		return fmt.Errorf("the journal ends before the ledger's offset: %d to %d are gone", p.End, next-1)
	}
	return nil
}

// ErrNothingToAccept says that every partition can be applied as it is.
var ErrNothingToAccept = errors.New("there is nothing to accept: no partition is stopped for what the journal lacks")

// FromStart has a stopped partition go on with all that is there.
func FromStart(p Partition) int64 { return p.Start }

// FromEnd has it go on behind what is there.
func FromEnd(p Partition) int64 { return p.End }

// Repointing is what an operator would accept: that the ledger goes on with the
// journal as Kafka has it, each stopped partition from the offset that from tells.
func (s Status) Repointing(from func(Partition) int64) (wallet.Repointing, error) {
	a := wallet.Repointing{From: s.Ledger, To: s.Kafka}
	switch {
	case s.Ledger.ID == uuid.Nil:
		return a, fmt.Errorf("%w: the ledger follows no topic yet", ErrNothingToAccept)
	case s.Kafka.ID == uuid.Nil:
		return a, fmt.Errorf("%w: topic %s does not exist: make it first, with %d partitions", wallet.ErrTopicChanged, s.Ledger.Name, s.Ledger.Partitions)
	case s.Kafka.Partitions != s.Ledger.Partitions:
		return a, fmt.Errorf("%w: the topic has %d partitions and must have %d, for they decide where a wallet's operations are: make it anew", wallet.ErrTopicChanged, s.Kafka.Partitions, s.Ledger.Partitions)
	}
	for _, p := range s.Partitions {
		if p.Stopped == nil {
			continue
		}
		a.Moves = append(a.Moves, wallet.Move{Partition: p.Partition, From: p.Next, To: from(p)})
	}
	if len(a.Moves) == 0 {
		return a, ErrNothingToAccept
	}
	return a, nil
}
