package journal

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/wallet"
)

// topicWriter writes a topic that was met, by a writer for each partition and a client of
// their own. A client knows a topic by its id, and what it has not yet had acknowledged
// must never get into another topic of that name: it ends with its topic.
type topicWriter struct {
	topic      wallet.Topic
	client     *kgo.Client
	applier    Acknowledger
	log        *slog.Logger
	gap        chan<- struct{} // has the reader poll at once
	applied    map[int32]int64 // the ledger's offsets, as they were told last; the meeting's
	recoverBy  time.Time       // until then partitions wait for what was lost to be applied; the meeting's
	writers    []*partitionWriter
	ready      chan struct{}                      // holds one token while a partition writer has something to flush
	pushing    atomic.Bool                        // somebody has the client send
	wave       atomic.Pointer[wave]               // the last that began
	gatherFrom time.Time                          // before then a wave only looks whether the ledger has caught up
	inVain     time.Duration                      // how long waves have waited since the ledger had caught up
	gathering  atomic.Pointer[context.CancelFunc] // ends the last wave's wait for what is being applied
	failed     atomic.Bool                        // a record was refused or lost: mend is to look why
	abandoned  atomic.Bool                        // the client has heard that the topic is another one, and will never write
	refused    atomic.Pointer[error]              // why the client will never write; nil: it may
	cancel     context.CancelFunc
	running    sync.WaitGroup
}

// lingerMost is how late the client sends a record that a push has missed: a push
// begins with a look at the partitions that the client knows, and a record may just
// have got into one that it learns of at that moment. Nothing else lingers, for what
// the client gets is pushed at once.
const lingerMost = 10 * time.Millisecond

// replicateMost is how long a leader waits for its followers before it says that it could not
// reach them. The client then looks for another leader: this one may have been deposed, and
// not know it.
const replicateMost = 2 * time.Second

// maxBufferedRecords is above what the requests that may be unanswered at once can
// write: a full buffer would look like a broker that does not acknowledge.
const maxBufferedRecords = 1_000_000

func producerOptions(cfg Config) []kgo.Opt {
	return append(clientOptions(cfg),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ManualFlushing(), // the partition writers batch
		kgo.ProducerLinger(lingerMost),
		kgo.ProduceRequestTimeout(replicateMost),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(maxBufferedRecords),
	)
}

func (j *Journal) newTopicWriter(t wallet.Topic) (*topicWriter, error) {
	client, err := kgo.NewClient(producerOptions(j.Config)...)
	if err != nil {
		return nil, err
	}
	w := &topicWriter{topic: t, client: client, applier: j.applier, log: j.Log, gap: j.gap, ready: make(chan struct{}, 1)}
	for p := range t.Partitions {
		w.writers = append(w.writers, &partitionWriter{partition: p, ackTimeout: j.AckTimeout})
	}
	ctx, cancel := context.WithCancel(j.ctx)
	w.cancel = cancel
	w.running.Go(func() { w.waves(ctx) })
	return w, nil
}

// demanded has a wave begin if a partition writer asks for one. It does not wait.
func (w *topicWriter) demanded(d demand) {
	if d >= aFlush {
		signal(w.ready)
	}
	if d == fullFlush {
		w.enough()
	}
}

// answered passes on what the broker has said of a record: first to the applier, then to its
// writers, so that what they are told of is on its way. It returns whether the record is
// acknowledged.
func (w *topicWriter) answered(p *partitionWriter, g *pendingRecord, r *kgo.Record, err error) bool {
	before := p.next.Load()
	v := p.judge(r.Offset, err)
	if v < acknowledged {
		if v == overtaking {
			w.log.Error("a partition of the journal is not written: it has lost its end", "partition", p.partition, "written again", r.Offset)
			w.applier.JournalTruncated(p.partition, r.Offset, before)
		}
		g.finish(wallet.NoReceipt, wallet.ErrUnacknowledged)
		return false
	}
	if v == acknowledgedAfterGap {
		signal(w.gap)
	}
	g.rec.Receipt = wallet.Receipt{Partition: r.Partition, Offset: r.Offset}
	w.applier.Acknowledged(g.rec)
	g.finish(g.rec.Receipt, nil)
	return true
}

// signal puts a token into a channel that holds one, if it has none.
func signal(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// close lets go of whoever waits. What is not acknowledged by then may or may not
// get into the topic.
func (w *topicWriter) close() {
	w.cancel()
	w.client.Close()
	w.running.Wait()
}

// look is what the meeting has seen of a topic's partitions, in this order: the ledger's
// offsets, how the partitions were written, their ends. So an end below what was applied or
// acknowledged is a loss, and not an early look.
type look struct {
	written map[int32]written
	topics  map[uuid.UUID]bool // that have the name, as the brokers tell; none if they do not
	ends    map[int32]int64    // without partitions that do not tell
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
	known.ends, known.topics, _ = j.endsOf(j.ctx, j.Topic, topic)
	return known
}

// hold blocks the writing of partitions that may lack records which the ledger has applied.
// A new record would get a lost one's offset, and the ledger would pass it as applied. The
// reader stops such a partition only for as long as it ends before the ledger's offset;
// writing would close that gap and hide the loss. A partition that has lost only what the
// ledger has not come to is held too: until the next look says the same, and then until what
// was acknowledged here of that is applied. All are held while the topic is another, whose
// records nobody would apply before an operator has accepted it.
func (w *topicWriter) hold(applied map[int32]int64, known look) {
	first := w.applied == nil
	w.applied = applied
	foreign := len(known.topics) > 0 && !known.topics[w.topic.ID]
	for _, p := range w.writers {
		next, was := applied[p.partition], known.written[p.partition]
		p.reached(next)
		end, told := known.ends[p.partition]
		var why writeHold
		switch {
		case foreign && was.held == holdLost:
			why = holdLost // for what was lost is to be applied first
		case foreign:
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

// holdWithoutEnd is the same while its end is not told: nothing is found lost by that, nor there.
func (w *topicWriter) holdWithoutEnd(next int64, was writeHold) writeHold {
	switch {
	case was == holdRecovering:
		return w.recovering()
	case next == 0 && was == holdUntold: // it has nothing that could be lost
		return ""
	}
	return was
}

// recoverMost is how long a partition is not written so that what it has lost is applied
// before what comes after it. What is left has to be read before: longer than a reader needs
// to begin anew.
const recoverMost = 30 * time.Second

// recoverFrom has what was acknowledged from end on applied, which is lost.
func (w *topicWriter) recoverFrom(p *partitionWriter, end, acknowledged int64) {
	w.applier.JournalTruncated(p.partition, end, acknowledged)
	p.next.CompareAndSwap(acknowledged, 0)
	p.lostFrom, w.recoverBy = end, time.Now().Add(recoverMost)
}

// recovering is why partitions are held that have lost something, "" once they need not be.
func (w *topicWriter) recovering() writeHold {
	if w.applier.Recovering() && time.Now().Before(w.recoverBy) {
		return holdRecovering
	}
	return ""
}

// recoverFirst holds all partitions until what was lost is applied, or recoverMost.
func (w *topicWriter) recoverFirst() {
	w.recoverBy = time.Now().Add(recoverMost)
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

// closeWriter ends writing.
func (j *Journal) closeWriter() {
	if w := j.writer.Swap(nil); w != nil {
		w.close()
	}
}
