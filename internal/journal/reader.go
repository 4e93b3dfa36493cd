package journal

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/walletd/walletd/internal/wallet"
)

const (
	rebalanceTimeout = 10 * time.Second       // how long the group waits for a member that is to give partitions up
	fetchWait        = 500 * time.Millisecond // how long the broker holds a fetch that finds nothing
	pollRecords      = 5_000                  // of one poll, over all partitions
	commitInterval   = 5 * time.Second        // between commits of the group's own offsets
	fetchAgain       = time.Second            // after a fetch that failed
	minRejoin        = 5 * time.Second        // at least, a reader that misses a partition makes room for another; then twice as long each time
	maxRejoin        = 5 * time.Minute
)

// reader fetches the partitions that the group gives to this replica. Where to
// begin is always the ledger's word; the group's committed offsets only follow it,
// for tools that show the lag.
type reader struct {
	journal *Journal
	topic   wallet.Topic
	client  *kgo.Client
	ctx     context.Context // ends with the reader
	cancel  context.CancelFunc
	kill    context.CancelFunc // ends the client's requests
	ended   sync.WaitGroup

	born       time.Time
	repeats    seldom     // of the log
	ending     sync.Mutex // held while the applier is told that a partition is revoked, or halted: one after the other
	mu         sync.Mutex
	partitions map[int32]*share
}

// share is what the reader knows of a partition.
type share struct {
	given       bool // by the group
	asked       bool // startOffsets was, about it
	missed      bool // the client does not fetch it
	unknown     int  // answers in a row that the topic is unknown
	unknownAt   time.Time
	judged      bool // it is being found out whether its offset is there
	halted      bool // it stays paused while it is this replica's
	revocations int  // how often it was taken away: what was found out before no longer counts
}

// share returns the partition's; mu is held.
func (r *reader) share(partition int32) *share {
	s := r.partitions[partition]
	if s == nil {
		s = &share{}
		r.partitions[partition] = s
	}
	return s
}

// read starts the reader.
func (j *Journal) read(t wallet.Topic) error {
	r := &reader{journal: j, topic: t, born: time.Now(), partitions: map[int32]*share{}}
	r.ctx, r.cancel = context.WithCancel(j.ctx)
	var requests context.Context
	requests, r.kill = context.WithCancel(context.Background())
	client, err := kgo.NewClient(append(clientOptions(j.config),
		kgo.WithContext(requests),
		kgo.ConsumeTopics(t.Name),
		kgo.ConsumerGroup(j.config.Group),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(j.config.SessionTimeout),
		kgo.HeartbeatInterval(j.config.SessionTimeout/4),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.FetchMaxWait(fetchWait),
		// An offset that is not there is never reset: the partition stops.
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.AdjustFetchOffsetsFn(r.startOffsets),
		kgo.OnPartitionsAssigned(r.noteAssigned),
		kgo.OnPartitionsRevoked(r.revoked),
		kgo.OnPartitionsLost(r.revoked),
		// What was polled is delivered before its partition can be revoked.
		kgo.BlockRebalanceOnPoll(),
		kgo.DisableAutoCommit(),
	)...)
	if err != nil {
		return fmt.Errorf("prepare reading the journal: %w", err)
	}
	r.client = client
	j.reader.Store(r) // first, for what is polled may ask for Resume
	r.ended.Go(r.poll)
	r.ended.Go(r.commitOffsets)
	return nil
}

// close gives the partitions up, which finishes their running batches, and leaves
// the group. A broker that does not answer that in time does not hold it up: the
// group then misses this member when its session ends.
func (r *reader) close() {
	r.cancel()
	timer := time.AfterFunc(r.journal.config.RequestTimeout, r.kill)
	r.client.CloseAllowingRebalance()
	timer.Stop()
	r.kill()
	r.ended.Wait()
}

// startOffsets replaces the offsets that the group has by the ledger's. A partition that
// the applier does not take is left out, and so is never fetched.
func (r *reader) startOffsets(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	begin := map[int32]kgo.Offset{}
	for p := range offsets[r.topic.Name] {
		next, err := r.journal.applier.Assigned(ctx, r.topic.ID, p)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			begin[p] = kgo.NewOffset().At(next)
		}
	}
	for p := range offsets[r.topic.Name] {
		r.noteAsked(p)
	}
	return map[string]map[int32]kgo.Offset{r.topic.Name: begin}, nil
}

// noteAsked notes that a partition begins at the ledger's offset, whatever was before.
func (r *reader) noteAsked(partition int32) {
	r.mu.Lock()
	s := r.share(partition)
	paused := s.missed || s.judged
	s.asked, s.missed, s.judged = true, false, false
	r.mu.Unlock()
	if paused {
		r.resume(partition)
	}
}

func (r *reader) noteAssigned(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range added[r.topic.Name] {
		r.share(p).given = true
	}
}

func (r *reader) revoked(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	r.ending.Lock()
	defer r.ending.Unlock()
	for _, p := range lost[r.topic.Name] {
		r.journal.applier.Revoked(p)
		r.mu.Lock()
		s := r.share(p)
		*s = share{revocations: s.revocations + 1}
		r.mu.Unlock()
		r.resume(p)
	}
}

// poll delivers what is fetched until the client is closed.
func (r *reader) poll() {
	var pollPace pollPace
	for {
		fetches := r.client.PollRecords(r.ctx, pollRecords)
		if fetches.IsClientClosed() || r.ctx.Err() != nil {
			r.client.AllowRebalance()
			return
		}
		fetches.EachError(r.failed)
		own := len(fetches.Errors()) == 0 && !foreign(fetches, r.journal.config.Replica)
		if own {
			r.awaitWave()
		}
		for _, f := range fetches {
			for _, t := range f.Topics {
				r.deliverAll(t)
			}
		}
		r.client.AllowRebalance()
		if d := pollPace.after(own); d > 0 {
			r.rest(d)
		}
	}
}

// deliverAll passes on what was fetched of the topic. A client keeps to the first topic of a
// name that it hears of: what is of another one is not passed on, and its partitions, of which
// the client has passed records, are read anew.
func (r *reader) deliverAll(t kgo.FetchTopic) {
	isOther := t.TopicID != uuid.Nil && t.TopicID != r.topic.ID
	for _, p := range t.Partitions {
		switch {
		case !isOther:
			r.deliver(p)
		case len(p.Records) > 0:
			r.failed(t.Topic, p.Partition, errTwoTopics)
		}
	}
}

// deliver passes on the records that the applier does not have yet.
func (r *reader) deliver(f kgo.FetchPartition) {
	fetched := fromOffset(f.Records, r.journal.applier.Delivered(f.Partition))
	if len(fetched) == 0 {
		return
	}
	if !r.journal.applier.Fetched(f.Partition, decoded(fetched)) {
		r.pause(f.Partition)
		if r.journal.applier.MayFetch(f.Partition) {
			r.resume(f.Partition)
		}
	}
}

// fromOffset returns the records at the offset and after it.
func fromOffset(records []*kgo.Record, offset int64) []*kgo.Record {
	i, _ := slices.BinarySearchFunc(records, offset, func(r *kgo.Record, offset int64) int { return cmp.Compare(r.Offset, offset) })
	return records[i:]
}

func (r *reader) pause(partition int32) {
	r.client.PauseFetchPartitions(map[string][]int32{r.topic.Name: {partition}})
}

func (r *reader) revocationsOf(partition int32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.share(partition).revocations
}

// resume goes on fetching a partition, unless something is to be found out or done first.
func (r *reader) resume(partition int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.share(partition); s.halted || s.missed || s.judged {
		return
	}
	r.client.ResumeFetchPartitions(map[string][]int32{r.topic.Name: {partition}})
}

// Resume goes on fetching a partition.
func (j *Journal) Resume(partition int32) {
	if r := j.reader.Load(); r != nil {
		r.resume(partition)
	}
}

// commitOffsets commits the ledger's offsets to the group.
func (r *reader) commitOffsets() {
	for sleep(r.ctx, commitInterval) {
		offsets := map[int32]kgo.EpochOffset{}
		for p, next := range r.journal.applier.Offsets() {
			offsets[p] = kgo.EpochOffset{Epoch: -1, Offset: next}
		}
		if len(offsets) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(r.ctx, r.journal.config.RequestTimeout)
		r.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{r.topic.Name: offsets}, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
			if err != nil && r.ctx.Err() == nil {
				r.journal.config.Log.Debug("group offsets not committed", "error", err)
			}
		})
		cancel()
	}
}
