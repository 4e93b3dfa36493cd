package journal

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/wallet"
)

// writing is how to write a topic that was met: its pens, and a client of their
// own. A client knows a topic by its id, and what it has not yet had acknowledged
// must never get into another topic of that name: it ends with its topic.
type writing struct {
	topic   wallet.Topic
	client  *kgo.Client
	pens    []*pen
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func (j *Journal) newWriting(t wallet.Topic) (*writing, error) {
	client, err := kgo.NewClient(append(clientOptions(j.Config),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), // the pens batch
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(maxBufferedRecords),
	)...)
	if err != nil {
		return nil, err
	}
	w := &writing{topic: t, client: client}
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(j.ctx)
	for p := range t.Partitions {
		pen := &pen{partition: p, topic: t.Name, client: client, ackTimeout: j.AckTimeout, acked: j.applier.Acknowledged, gapped: j.gapped, ready: make(chan struct{}, 1)}
		w.pens = append(w.pens, pen)
		w.running.Go(func() { pen.run(ctx) })
	}
	return w, nil
}

// close lets go of whoever waits. What is not acknowledged by then may or may not
// get into the topic.
func (w *writing) close() {
	w.cancel()
	w.client.Close()
	w.running.Wait()
}

// openPens starts writing the topic, unless it is being written.
func (j *Journal) openPens(t wallet.Topic) error {
	if w := j.writing.Load(); w != nil && w.topic.ID == t.ID {
		return nil
	}
	j.closePens()
	w, err := j.newWriting(t)
	if err != nil {
		return err
	}
	j.writing.Store(w)
	j.Log.Info("journal met", "topic", t.Name, "id", t.ID, "partitions", t.Partitions)
	return nil
}

// closePens ends writing.
func (j *Journal) closePens() {
	if w := j.writing.Swap(nil); w != nil {
		w.close()
	}
}
