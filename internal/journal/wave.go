package journal

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// waveMost is how long a partition whose leader does not answer holds the others up.
	waveMost = 5 * time.Millisecond
	// gatherMost is how long a wave waits for the ledger to have what earlier ones brought.
	gatherMost = 5 * time.Millisecond
)

// waves writes what waits at the pens, all of them at once, in one request for each
// broker. The next wave begins when this one is answered, for a broker serves the
// requests of a connection one after the other, and applied by this replica, which
// does one batch after the other: a request that is sent earlier only waits there,
// without what could still have joined it. Either wait has its bound.
func (w *writing) waves(ctx context.Context) {
	timer := time.NewTimer(waveMost)
	defer timer.Stop()
	defer w.letGo()
	for {
		select {
		case <-w.ready:
		case <-ctx.Done():
			return
		}
		w.gather(ctx)
		timer.Reset(waveMost)
		select {
		case <-w.begin(ctx):
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// gather keeps the wave back while this replica applies what earlier ones brought.
// What arrives meanwhile shares its flush and its commit, and so there are fewer of
// either. A ledger that is slow, or away, does not keep it for long.
func (w *writing) gather(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, gatherMost)
	defer cancel()
	w.applier.Idle(ctx)
}

// letGo ends writing for whoever waits.
func (w *writing) letGo() {
	for _, p := range w.pens {
		p.close()
	}
}

// wave is the flushes that began together.
type wave struct {
	flushes atomic.Int64 // under way
	ended   chan struct{}
}

func (v *wave) end() {
	if v.flushes.Add(-1) == 0 {
		close(v.ended)
	}
}

// begin has every pen flush that has something to; the channel is closed when all
// are answered. The context is the records': it lives as long as the client, for a
// cancelled record could take acknowledged ones with it.
func (w *writing) begin(ctx context.Context) <-chan struct{} {
	v := &wave{ended: make(chan struct{})}
	v.flushes.Store(1)
	for _, p := range w.pens {
		if groups := p.take(); len(groups) > 0 {
			v.flushes.Add(1)
			w.produce(ctx, p, groups, v.end)
		}
	}
	w.push(ctx)
	v.end()
	return v.ended
}

// produce hands a flush to the client, which keeps it until it is pushed.
func (w *writing) produce(ctx context.Context, p *pen, groups []*shared, landed func()) {
	left := new(atomic.Int64)
	left.Store(int64(len(groups)))
	for _, g := range groups {
		r := Encode(&g.rec)
		r.Topic, r.Partition = p.topic, p.partition
		w.client.TryProduce(ctx, r, func(r *kgo.Record, err error) {
			p.answer(g, r, err)
			if left.Add(-1) == 0 {
				p.landed()
				landed()
			}
		})
	}
}

// push has the client send what it keeps, and send again what has to be, until
// nothing is left.
func (w *writing) push(ctx context.Context) {
	if !w.pushing.CompareAndSwap(false, true) {
		return // and whoever pushes looks again before it ends
	}
	w.running.Go(func() {
		for again := true; again; again = ctx.Err() == nil && w.client.BufferedProduceRecords() > 0 && w.pushing.CompareAndSwap(false, true) {
			_ = w.client.Flush(ctx)
			w.pushing.Store(false)
		}
	})
}
