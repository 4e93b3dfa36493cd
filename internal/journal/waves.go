package journal

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/wallet"
)

const (
	// maxGather bounds how long one wave, or several in a row that began early, wait for the
	// ledger to apply what earlier waves brought.
	maxGather = 50 * time.Millisecond
	// gatherAgain is how long waves do not wait after that was in vain.
	gatherAgain = time.Second
	// gatherEnough is how many operations of a partition do not wait for more of them.
	gatherEnough = 100
)

// waves writes what waits at the partition writers, all of them at once, in one request for each
// broker. The next wave begins when this one is answered, for a broker serves the
// requests of a connection one after the other, and applied by this replica, which
// does one batch after the other: a request that is sent earlier only waits there,
// without what could still have joined it. Either wait has its bound.
func (w *topicWriter) waves(ctx context.Context) {
	defer w.letGo()
	for {
		select {
		case <-w.ready:
		case <-ctx.Done():
			return
		}
		w.gather(ctx)
		v := w.startWave(ctx)
		select {
		case <-v.over:
		case <-ctx.Done():
			v.giveUp()
			return
		}
	}
}

// gather keeps the wave back while this replica applies what earlier ones brought.
// What arrives meanwhile shares its flush and its commit, and so there are fewer of
// either. Once a partition has gatherEnough, more would make the two no cheaper, and
// the broker works while the ledger does. A ledger that is away, or has a backlog, keeps
// waves back for no more than maxGather in all, once a second, and those between only
// look whether it has caught up.
func (w *topicWriter) gather(ctx context.Context) {
	most := maxGather - w.inVain
	if time.Now().Before(w.gatherFrom) {
		most = 0
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	w.gathering.Store(&cancel)
	if w.hasEnough() {
		cancel()
	}
	began := time.Now()
	if w.applier.AwaitIdle(ctx) {
		w.gatherFrom, w.inVain = time.Time{}, 0
		return
	}
	if w.inVain += time.Since(began); w.inVain >= maxGather {
		w.gatherFrom, w.inVain = time.Now().Add(gatherAgain), 0
	}
}

// hasEnough reports whether a partition writer has enough for a flush that it could begin now.
func (w *topicWriter) hasEnough() bool {
	return slices.ContainsFunc(w.writers, (*partitionWriter).hasEnough)
}

// enough has the wave that gathers begin.
func (w *topicWriter) enough() {
	if cancel := w.gathering.Load(); cancel != nil {
		(*cancel)()
	}
}

// letGo ends writing for whoever waits.
func (w *topicWriter) letGo() {
	for _, p := range w.writers {
		p.close()
	}
}

// startWave has every partition writer flush that has something to. The context is the records': it
// lives as long as the client, for a cancelled record could take acknowledged ones
// with it.
func (w *topicWriter) startWave(ctx context.Context) *wave {
	v := newWave(w.applier.Deliver)
	w.wave.Store(v)
	v.join()
	for _, p := range w.writers {
		if groups := p.take(); len(groups) > 0 {
			v.join()
			w.produce(ctx, v, p, groups)
		}
	}
	w.push(ctx)
	v.landed(nil)
	return v
}

// produce hands a flush to the client, which keeps it until it is pushed.
func (w *topicWriter) produce(ctx context.Context, v *wave, p *partitionWriter, groups []*pendingRecord) {
	left := new(atomic.Int64)
	left.Store(int64(len(groups)))
	acked, client := make([]wallet.Record, 0, len(groups)), w.client.Load()
	w.running.Add(1)
	for _, g := range groups {
		r := Encode(&g.rec)
		r.Topic, r.Partition = w.topic.Name, p.partition
		client.TryProduce(ctx, r, func(r *kgo.Record, err error) {
			ok := w.answered(p, g, r, err)
			w.noteHealth(ok, err)
			if ok {
				acked = append(acked, g.rec)
			}
			if left.Add(-1) == 0 {
				w.demanded(p.landed())
				v.landed(acked)
				w.running.Done()
			}
		})
	}
}

// noteHealth notes for mend whether the client still writes.
func (w *topicWriter) noteHealth(acknowledged bool, err error) {
	switch {
	case !acknowledged:
		if errors.Is(err, kerr.UnknownTopicID) {
			w.topicUnknown.Store(true)
		}
		w.failed.Store(true)
	case w.topicUnknown.Load(): // what failed before had another reason
		w.topicUnknown.Store(false)
	}
}

// push has the client send what it keeps, and send again what has to be, until
// nothing is left.
func (w *topicWriter) push(ctx context.Context) {
	if !w.pushing.CompareAndSwap(false, true) {
		return // and whoever pushes looks again before it ends
	}
	w.running.Go(func() {
		for again := true; again; again = ctx.Err() == nil && w.client.Load().BufferedProduceRecords() > 0 && w.pushing.CompareAndSwap(false, true) {
			_ = w.client.Load().Flush(ctx)
			w.pushing.Store(false)
		}
	})
}
