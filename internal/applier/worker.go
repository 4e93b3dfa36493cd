package applier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// worker applies one partition: one batch at a time, in offset order.
type worker struct {
	applier   *Applier // its ledger, lanes, limits and metrics
	topic     uuid.UUID
	partition int32
	log       *slog.Logger

	door       *door
	next       atomic.Int64 // the ledger's offset as far as this worker knows
	lists      map[uuid.UUID]wallet.List
	listCount  atomic.Int64 // of lists, for the keeper
	maxRecords int          // of one batch: fewer than the limit while the ledger does not take as many

	oldestApplying    atomic.Int64 // when the oldest operation being applied was accepted, in microseconds; 0: none
	oldestUnjournaled atomic.Int64 // the same of those that the keeper's last look found without a backfill record

	committed chan wallet.Committed // to the announcer, in commit order
	cancel    context.CancelFunc
	running   sync.WaitGroup
}

// announcedBehind bounds the commits whose announcement is still to be made; a
// worker that is further ahead waits.
const announcedBehind = 8

func newWorker(a *Applier, topic uuid.UUID, partition int32, p wallet.Progress) *worker {
	w := &worker{
		applier: a, topic: topic, partition: partition, log: a.Log.With("partition", partition),
		door:       newDoor(p.Next, a.Limits.QueueOperations),
		maxRecords: a.Limits.BatchOperations,
		committed:  make(chan wallet.Committed, announcedBehind),
	}
	w.adopt(p)
	return w
}

// start runs the worker with its announcer and its keeper until stop.
func (w *worker) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.running.Go(w.announceAll)
	w.running.Go(func() { defer close(w.committed); w.run(ctx) })
	w.running.Go(func() { newKeeper(w).run(ctx) })
	w.log.Debug("applying", "offset", w.next.Load(), "lists", len(w.lists))
}

// stop ends the worker after its running commit and waits for it.
func (w *worker) stop() {
	w.cancel()
	w.running.Wait()
}

// adopt adopts what the ledger says of the partition.
func (w *worker) adopt(p wallet.Progress) {
	w.reached(p.Next)
	w.lists = make(map[uuid.UUID]wallet.List, len(p.Lists))
	for _, l := range p.Lists {
		w.lists[l.WalletID] = l
	}
	w.countLists()
}

// reached notes how far the ledger has come.
func (w *worker) reached(next int64) {
	w.next.Store(next)
	w.applier.ledgerReached(w.partition, next)
}

// countLists lets the keeper know how many lists there are.
func (w *worker) countLists() { w.listCount.Store(int64(len(w.lists))) }

func (w *worker) run(ctx context.Context) {
	for {
		records, resume, ok := w.door.take(ctx, w.applier.Limits.BatchOperations)
		if !ok {
			return
		}
		if resume {
			w.applier.Journal.Resume(w.partition)
		}
		w.oldestApplying.Store(firstAccepted(records))
		// What is before the first record that does not decode need not wait for its dead letter.
		poison := slices.IndexFunc(records, func(r wallet.Record) bool { return r.Kind == wallet.KindPoison })
		if poison > 0 {
			if !w.apply(ctx, records[:poison]) {
				return
			}
			records = fromOffset(records[poison:], w.next.Load())
			w.oldestApplying.Store(firstAccepted(records))
		}
		if !w.bury(ctx, records) || !w.apply(ctx, records) {
			return
		}
		w.oldestApplying.Store(0)
	}
}

// bury puts the records that do not decode into the dead-letter topic. Their
// offsets pass only after that is acknowledged. False: ctx has ended.
func (w *worker) bury(ctx context.Context, records []wallet.Record) bool {
	for _, r := range records {
		if r.Kind != wallet.KindPoison {
			continue
		}
		w.log.Error("record does not decode", "offset", r.Receipt.Offset, "error", r.Poison.Err)
		for pause := newPause(w.applier.Limits); ; {
			err := w.applier.Journal.Bury(ctx, r)
			if err == nil {
				break
			}
			w.log.Warn("dead letter not acknowledged", "offset", r.Receipt.Offset, "error", err)
			if pause.wait(ctx) != nil {
				return false
			}
		}
		w.log.Info("record dead-lettered", "offset", r.Receipt.Offset)
		w.applier.metrics.dead.Inc()
	}
	return true
}

// apply brings the records into the ledger. It returns false if the worker has to
// end: it was stopped, or its partition was.
func (w *worker) apply(ctx context.Context, records []wallet.Record) bool {
	pause, unknown := newPause(w.applier.Limits), false
	for {
		if records = fromOffset(records, w.next.Load()); len(records) == 0 {
			return ctx.Err() == nil
		}
		n, err := w.applySome(records[:min(w.maxRecords, len(records))])
		if err == nil {
			records, pause, unknown = records[n:], newPause(w.applier.Limits), false
			w.maxRecords = min(w.maxRecords+w.maxRecords/4+1, w.applier.Limits.BatchOperations)
			w.oldestApplying.Store(firstAccepted(records))
			continue
		}
		// Fenced, or of unknown outcome: nobody is told anything yet, and only the ledger
		// knows where to go on.
		w.applier.metrics.dropped(err)
		w.log.Warn("batch failed, and is tried again", "offset", w.next.Load(), "error", err)
		if pause.wait(ctx) != nil {
			return false
		}
		tried := w.next.Load()
		if !w.reload(ctx) {
			return false
		}
		if errors.Is(err, wallet.ErrUnavailable) && w.next.Load() == tried {
			w.maxRecords = max(1, min(w.maxRecords, len(records))/2) // a slow ledger may take less at a time
		}
		// After an unknown outcome the offset may have been moved by this worker's own commit,
		// which landed late: nobody else tells what that brought. Another owner tells its own.
		unknown = unknown || !errors.Is(err, wallet.ErrFenced)
		if unknown && !w.tell(ctx, records[:len(records)-len(fromOffset(records, w.next.Load()))]) {
			return false
		}
	}
}

// reload reads the partition's offset and lists again. False: the worker has to end.
func (w *worker) reload(ctx context.Context) bool {
	p, err := w.applier.readProgress(ctx, w.topic, w.partition, wallet.ErrTopicChanged) // a refusal holds up nobody else here
	if err == nil && p.Next < w.next.Load() {
		err = fmt.Errorf("the ledger's offset went back from %d to %d: was it restored under a running walletd? Restart walletd to read the journal again from there", w.next.Load(), p.Next)
	}
	if err != nil {
		if ctx.Err() == nil {
			w.applier.markStopped(w.partition, err)
		}
		return false
	}
	w.adopt(p)
	return true
}

// applySome commits a prefix of records, with their lanes locked from computing
// until the outcome of the commit is known, and returns its length.
func (w *worker) applySome(records []wallet.Record) (int, error) {
	t := newAttempt(w, records)
	defer t.unlock()
	for {
		began := w.applier.Now()
		b, err := t.commit()
		if err == nil {
			w.advance(b)
			w.applier.metrics.committed(b, w.applier.Now().Sub(began))
			return len(t.records), nil
		}
		if err := t.adapt(err); err != nil {
			for _, ln := range t.locked {
				ln.cached = false
			}
			return 0, err
		}
	}
}

// advance makes the committed batch this replica's truth.
func (w *worker) advance(b *batch) {
	b.advance()
	w.reached(b.Fence.To)
	w.remember(b.Lists)
	w.committed <- b.announcement()
}

// remember keeps the heads of the partition's lists as the commit left them.
func (w *worker) remember(changes []wallet.ListChange) {
	for _, c := range changes {
		if c.Length == 0 {
			delete(w.lists, c.WalletID)
			continue
		}
		w.lists[c.WalletID] = c.List
		if c.Refusals >= w.applier.Limits.Attempts {
			w.applier.metrics.alarms.Inc()
			w.log.Error("requeued list is refused again and again", "wallet", c.WalletID, "refusals", c.Refusals, "length", c.Length, "reason", c.LastError)
		}
	}
	if len(changes) > 0 {
		w.countLists()
	}
}
