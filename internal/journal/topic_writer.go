package journal

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/wallet"
)

// topicWriter writes a topic that was met, by a writer for each partition and a client of
// their own. A client knows a topic by its id, and what it has not yet had acknowledged
// must never get into another topic of that name: it ends with its topic, or before.
type topicWriter struct {
	topic        wallet.Topic
	client       atomic.Pointer[kgo.Client] // mend may replace it
	applier      Acknowledger
	log          *slog.Logger
	gap          chan<- struct{} // has the reader poll at once
	applied      map[int32]int64 // the ledger's offsets, as they were told last; the meeting's
	recoverBy    time.Time       // until then partitions wait for what was lost to be applied; the meeting's
	writers      []*partitionWriter
	ready        chan struct{}                      // holds one token while a partition writer has something to flush
	pushing      atomic.Bool                        // somebody has the client send
	wave         atomic.Pointer[wave]               // the last that began
	gatherFrom   time.Time                          // before then a wave only looks whether the ledger has caught up
	inVain       time.Duration                      // how long waves have waited since the ledger had caught up
	gathering    atomic.Pointer[context.CancelFunc] // ends the last wave's wait for what is being applied
	failed       atomic.Bool                        // a record was refused or lost: mend is to look why
	topicUnknown atomic.Bool                        // a record failed as its topic is unknown: the client may hold another id
	refused      atomic.Pointer[error]              // why the client will never write; nil: it may
	cancel       context.CancelFunc
	running      sync.WaitGroup // its goroutines, and the flushes that are not answered
}

// maxLinger is how late the client sends a record that a push has missed: a push
// begins with a look at the partitions that the client knows, and a record may just
// have got into one that it learns of at that moment. Nothing else lingers, for what
// the client gets is pushed at once.
const maxLinger = 10 * time.Millisecond

// produceTimeout is how long a leader waits for its followers before it says that it could not
// reach them. The client then looks for another leader: this one may have been deposed, and
// not know it.
const produceTimeout = 2 * time.Second

// maxBufferedRecords is above what the requests that may be unanswered at once can
// write: a full buffer would look like a broker that does not acknowledge.
const maxBufferedRecords = 1_000_000

func producerOptions(cfg Config) []kgo.Opt {
	return append(clientOptions(cfg),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ManualFlushing(), // the partition writers batch
		kgo.ProducerLinger(maxLinger),
		kgo.ProduceRequestTimeout(produceTimeout),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(maxBufferedRecords),
	)
}

func (j *Journal) newTopicWriter(t wallet.Topic) (*topicWriter, error) {
	client, err := kgo.NewClient(producerOptions(j.config)...)
	if err != nil {
		return nil, err
	}
	w := &topicWriter{topic: t, applier: j.applier, log: j.config.Log, gap: j.gap, ready: make(chan struct{}, 1)}
	w.client.Store(client)
	for p := range t.Partitions {
		w.writers = append(w.writers, &partitionWriter{partition: p, ackTimeout: j.config.AckTimeout})
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

// close lets go of whoever waits, and returns when all that is acknowledged is told. What is
// not acknowledged by then may or may not get into the topic.
func (w *topicWriter) close() {
	w.cancel()
	w.client.Load().Close()
	w.running.Wait()
}

// closeWriter ends writing.
func (j *Journal) closeWriter() {
	if w := j.writer.Swap(nil); w != nil {
		w.close()
	}
}
