package applier

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// keeper looks after what a partition's owner owes the journal: copies for the
// requeued lists that are due, a create record for every wallet that was made
// without one, and a backfill record for every direct operation.
// Each may be written twice, by a crash or by two owners; that is harmless.
type keeper struct {
	applier   *Applier
	worker    *worker
	copies    map[uuid.UUID]copied // the wallets' last, which are on their way
	journaled []wallet.Key         // in the journal; the ledger is still to be told
	beyond    uuid.UUID            // the last wallet of a round that was full: the next one goes on there
	failing   bool                 // the last round could not do its work
	failed    bool                 // nor can this one
}

// copied is where, and when, a wallet's last copy was acknowledged.
type copied struct {
	offset int64
	at     time.Time
}

func newKeeper(w *worker) *keeper {
	return &keeper{applier: w.applier, worker: w, copies: map[uuid.UUID]copied{}}
}

func (k *keeper) run(ctx context.Context) {
	tick := time.NewTicker(k.applier.Limits.KeeperInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		if ctx.Err() != nil {
			return
		}
		k.round(ctx)
	}
}

func (k *keeper) round(ctx context.Context) {
	k.failed = false
	if k.worker.listCount.Load() > 0 {
		k.requeue(ctx)
	}
	if k.worker.partition == backfiller {
		k.backfill(ctx)
	}
	if k.failing && !k.failed {
		k.worker.log.Info("copies and backfill records are written again")
	}
	k.failing = k.failed
}

// complain logs what keeps the keeper from its work: the first of the rounds that fail
// one after the other is a warning, there are some a second.
func (k *keeper) complain(ctx context.Context, what string, err error) {
	level := slog.LevelDebug
	if !k.failing && !k.failed && ctx.Err() == nil {
		level = slog.LevelWarn
	}
	k.failed = true
	k.worker.log.Log(ctx, level, what, "error", err)
}

// requeue appends a copy of the first operation of each list that is due, unless
// the wallet's last copy is still on its way.
func (k *keeper) requeue(ctx context.Context) {
	// Twice what a list waits at most: the clocks of replicas are a little apart.
	due, err := k.applier.Ledger.Due(ctx, k.worker.partition, k.applier.rowTime(), 2*k.applier.Limits.MaxRequeueDelay, k.applier.Limits.CopiesPerRound)
	if err != nil {
		k.complain(ctx, "reading due lists failed", err)
	}
	if err != nil && !errors.Is(err, wallet.ErrRefused) {
		return
	}
	k.forgetCopies()
	var copies []wallet.Record
	for _, d := range due {
		if _, ok := k.copies[d.WalletID]; !ok {
			copies = append(copies, wallet.Record{Kind: d.First.Kind, WalletID: d.WalletID, Attempt: d.Attempt + 1, Operations: []wallet.Operation{d.First.Operation}})
		}
	}
	for _, c := range k.append(ctx, copies) {
		k.copies[c.WalletID] = copied{c.Receipt.Offset, k.applier.Now()}
		k.applier.metrics.copies.Inc()
	}
}

// forgetCopies forgets those that were met, and those that the journal may have lost.
func (k *keeper) forgetCopies() {
	for id, c := range k.copies {
		if c.offset < k.worker.next.Load() || k.applier.Now().Sub(c.at) > 4*k.applier.Limits.MaxRequeueDelay {
			delete(k.copies, id)
		}
	}
}

// append journals records and returns those that are acknowledged, with their places,
// in the same array.
func (k *keeper) append(ctx context.Context, records []wallet.Record) []wallet.Record {
	if len(records) == 0 {
		return nil
	}
	receipts, err := k.applier.Journal.Append(records...)
	if err != nil {
		k.complain(ctx, "copies or backfill records wait for the journal", err)
	}
	acknowledged := records[:0]
	for i, rec := range records {
		if rec.Receipt = receipts[i]; rec.Receipt.Known() {
			acknowledged = append(acknowledged, rec)
		}
	}
	return acknowledged
}

// backfiller is the partition whose owner writes the backfill records of all.
const backfiller = 0

// backfillReads bounds the reads of one round in which some are refused; the others wait for
// the next.
const backfillReads = 50

// backfill appends creations and direct operations to the journal and notes in the
// ledger that they are there. It visits all wallets in turn, whatever came of a round, so
// that neither a partition that does not acknowledge, nor a wallet whose rows cannot be read,
// nor one with operations without end starves the others.
func (k *keeper) backfill(ctx context.Context) {
	if !k.note(ctx) { // while the ledger refuses these notes the same records would be written each round
		return
	}
	keys, err := k.applier.Ledger.Unjournaled(ctx, k.beyond, k.applier.Limits.Backfills)
	if err == nil && len(keys) == 0 && k.beyond != uuid.Nil {
		keys, err = k.applier.Ledger.Unjournaled(ctx, uuid.Nil, k.applier.Limits.Backfills)
	}
	if err != nil {
		k.complain(ctx, "reading which operations lack a backfill record failed", err)
		return
	}
	ops, passed, err := k.read(ctx, keys)
	if err != nil {
		k.complain(ctx, "reading operations to backfill failed", err)
	}
	if err != nil && !errors.Is(err, wallet.ErrRefused) {
		return
	}
	k.noteOldest(ops, err != nil)
	k.write(ctx, ops)
	k.beyond = uuid.Nil
	if passed < len(keys) || passed == k.applier.Limits.Backfills {
		k.beyond = keys[passed-1].WalletID
	}
	k.note(ctx)
}

// read returns the operations of these keys. A wallet of which any cannot be read is left out
// whole, for its backfills keep their order. passed is how many keys were dealt with before
// the bound on refused reads.
func (k *keeper) read(ctx context.Context, keys []wallet.Key) (ops []wallet.Operation, passed int, err error) {
	wallets := byWallet(keys, func(k wallet.Key) uuid.UUID { return k.WalletID })
	n, err := wallet.InParts(wallets, backfillReads, func(some [][]wallet.Key) error {
		read, err := k.applier.Ledger.Backfills(ctx, slices.Concat(some...))
		ops = append(ops, read...)
		return err
	})
	return ops, len(slices.Concat(wallets[:n]...)), err
}

// byWallet divides what is together by wallet.
func byWallet[T any](all []T, walletOf func(T) uuid.UUID) (wallets [][]T) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && walletOf(all[n]) == walletOf(all[0]) {
			n++
		}
		wallets = append(wallets, all[:n])
		all = all[n:]
	}
	return wallets
}

// noteOldest notes when the oldest operation without a backfill record was accepted. If some
// could not be read their time is unknown: the earlier note, or else the time of this look,
// stands in for it.
func (k *keeper) noteOldest(ops []wallet.Operation, unread bool) {
	oldest := oldestAccepted(ops)
	if unread {
		now := k.applier.Now().UnixMicro()
		oldest = min(cmp.Or(oldest, now), cmp.Or(k.worker.oldestUnjournaled.Load(), now))
	}
	k.worker.oldestUnjournaled.Store(oldest)
}

// write appends the records of these operations and keeps in journaled which are
// acknowledged. A wallet's operations need its creation: that is acknowledged first.
func (k *keeper) write(ctx context.Context, ops []wallet.Operation) {
	creations, direct := missing(ops)
	lacking := walletSet(creations)
	made := k.append(ctx, creations)
	for id := range walletSet(made) {
		delete(lacking, id)
	}
	direct = slices.DeleteFunc(direct, func(rec wallet.Record) bool { return lacking[rec.WalletID] })
	for _, rec := range slices.Concat(made, k.append(ctx, direct)) {
		for _, op := range rec.Operations {
			k.journaled = append(k.journaled, op.Key())
		}
	}
}

// walletSet returns the wallets of the records.
func walletSet(records []wallet.Record) map[uuid.UUID]bool {
	ids := make(map[uuid.UUID]bool, len(records))
	for i := range records {
		ids[records[i].WalletID] = true
	}
	return ids
}

// note tells the ledger what the journal has by now, and returns whether it knows.
func (k *keeper) note(ctx context.Context) bool {
	if len(k.journaled) == 0 {
		return true
	}
	if err := k.applier.Ledger.Journaled(ctx, k.journaled); err != nil {
		k.complain(ctx, "noting backfill records in the ledger failed", err)
		return false
	}
	k.journaled = nil
	return true
}

// missing returns the records that the journal lacks of operations that are in the
// order of their wallets.
func missing(ops []wallet.Operation) (creations, backfills []wallet.Record) {
	for i, op := range ops {
		if op.IsCreation() {
			creations = append(creations, wallet.Record{Kind: wallet.KindCreate, WalletID: op.WalletID, Operations: ops[i : i+1 : i+1]})
			continue
		}
		if n := len(backfills); n == 0 || backfills[n-1].WalletID != op.WalletID {
			backfills = append(backfills, wallet.Record{Kind: wallet.KindBackfill, WalletID: op.WalletID})
		}
		last := &backfills[len(backfills)-1]
		last.Operations = append(last.Operations, op)
	}
	return creations, backfills
}
