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

// writing is how to write a topic that was met: its pens, and a client of their
// own. A client knows a topic by its id, and what it has not yet had acknowledged
// must never get into another topic of that name: it ends with its topic.
type writing struct {
	topic      wallet.Topic
	client     *kgo.Client
	deliver    func(...wallet.Record)     // brings acknowledged records, as Applier says
	idle       func(context.Context) bool // waits for what was delivered, as Applier says
	log        *slog.Logger
	applied    map[int32]int64 // the ledger's offsets, as they were told last; the meeting's
	pens       []*pen
	ready      chan struct{}                      // holds one token while a pen has something to flush
	pushing    atomic.Bool                        // somebody has the client send
	wave       atomic.Pointer[wave]               // the last that began
	gatherFrom time.Time                          // before then a wave only looks whether the ledger has caught up
	inVain     time.Duration                      // how long waves have waited since the ledger had caught up
	gathering  atomic.Pointer[context.CancelFunc] // ends the last wave's wait for what is being applied
	failed     atomic.Bool                        // a record was refused or lost: mend is to look why
	refused    atomic.Pointer[error]              // why the client will never write; nil: it may
	cancel     context.CancelFunc
	running    sync.WaitGroup
}

// lingerMost is how late the client sends a record that a push has missed: a push
// begins with a look at the partitions that the client knows, and a record may just
// have got into one that it learns of at that moment. Nothing else lingers, for what
// the client gets is pushed at once.
const lingerMost = 10 * time.Millisecond

// maxBufferedRecords is above what the requests that may be unanswered at once can
// write: a full buffer would look like a broker that does not acknowledge.
const maxBufferedRecords = 1_000_000

func producerOptions(cfg Config) []kgo.Opt {
	return append(clientOptions(cfg),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ManualFlushing(), // the pens batch
		kgo.ProducerLinger(lingerMost),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(maxBufferedRecords),
	)
}

func (j *Journal) newWriting(t wallet.Topic) (*writing, error) {
	client, err := kgo.NewClient(producerOptions(j.Config)...)
	if err != nil {
		return nil, err
	}
	w := &writing{topic: t, client: client, deliver: j.applier.Deliver, idle: j.applier.Idle, log: j.Log, ready: make(chan struct{}, 1)}
	for p := range t.Partitions {
		w.pens = append(w.pens, &pen{partition: p, topic: t.Name, ackTimeout: j.AckTimeout, acked: j.applier.Acknowledged, gapped: j.gapped, ready: w.wanted, enough: w.enough, lostEnd: w.lostEnd})
	}
	ctx, cancel := context.WithCancel(j.ctx)
	w.cancel = cancel
	w.running.Go(func() { w.waves(ctx) })
	return w, nil
}

// wanted notes that a pen has something to flush. It does not wait.
func (w *writing) wanted() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// close lets go of whoever waits. What is not acknowledged by then may or may not
// get into the topic.
func (w *writing) close() {
	w.cancel()
	w.client.Close()
	w.running.Wait()
}

// hold has those partitions not written of which it is not known that the journal has what
// the ledger has applied. What is written after a loss would take the places of what was
// lost, and the ledger pass it: the reader stops such a partition, for as long as nobody
// fills it up. ends are asked for after applied.
func (w *writing) hold(applied, ends map[int32]int64) {
	first := w.applied == nil
	w.applied = applied
	for _, p := range w.pens {
		why, next := holding(""), applied[p.partition]
		p.reached(next)
		switch end, told := ends[p.partition]; {
		case next == 0:
		case !told && first:
			why = holdUntold
		case !told:
			why = p.holding()
		case end < next:
			why = holdLost
		}
		if p.hold(why) && why == holdLost {
			w.log.Error("a partition of the journal is not written: it has lost its end", "partition", p.partition, "ends", ends[p.partition], "applied", next)
		}
	}
}

// lostEnd says which record has shown that a partition has lost its end.
func (w *writing) lostEnd(partition int32, offset, least int64) {
	w.log.Error("a partition of the journal is not written: it has lost its end", "partition", partition, "record", offset, "least", least)
}

// closePens ends writing.
func (j *Journal) closePens() {
	if w := j.writing.Swap(nil); w != nil {
		w.close()
	}
}
