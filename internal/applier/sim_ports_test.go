package applier_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/applier/simtest"
	"github.com/walletd/walletd/internal/wallet"
)

// port is a member's ledger, journal and announcer: each call is a step.
type port struct{ *member }

// ledger is the one that ends its next call as the scheduler says.
func (p port) ledger(f simtest.Fault) *simtest.Faulty {
	return &simtest.Faulty{Ledger: p.s.ledger, Next: func(simtest.Call) simtest.Fault { return f }}
}

var (
	readFaults   = []simtest.Fault{simtest.CutOff, simtest.Serialization}
	directFaults = []simtest.Fault{simtest.CutOff, simtest.LostAnswer, simtest.Conflict, simtest.Locked, simtest.Refused, simtest.Serialization}
	commitFaults = append([]simtest.Fault{simtest.Fenced}, directFaults...)
	appendFaults = []simtest.Fault{simtest.CutOff, simtest.LostAnswer}
)

// call parks, and then has the ledger or the journal answer.
func (p port) call(what string, about int, detail func() string, faults []simtest.Fault, do func(simtest.Fault)) {
	p.s.park(&step{of: p.member, what: what, about: about, detail: detail, faults: faults, do: do})
}

// Commit implements applier.Ledger.
func (p port) Commit(ctx context.Context, b *wallet.Batch) (err error) {
	faults, about, what := commitFaults, 0, "commits"
	if b.Fence == nil {
		faults, what = directFaults, "commits directly"
	} else {
		about = int(b.Fence.Partition)
	}
	p.checkLanes(b)
	p.checkLists(b)
	p.call(what, about, func() string { return batchText(b) + answer(err) }, faults, func(f simtest.Fault) { err = p.commit(ctx, b, f) })
	if err == nil {
		p.learnCommitted(b)
	}
	return err
}

// commit is the ledger's answer while rows are held locked or refused.
func (p port) commit(ctx context.Context, b *wallet.Batch, f simtest.Fault) error {
	if f == simtest.None {
		for _, c := range b.Changes {
			switch {
			case p.s.held[c.ID]:
				f = simtest.Locked
			case p.s.refused[c.ID]:
				f = simtest.Refused
			}
		}
	}
	if f == simtest.None || f == simtest.LostAnswer {
		p.listed(b)
	}
	if f == simtest.CutOff && !p.dead && p.s.draw(2) == 1 {
		p.s.late = append(p.s.late, &straggler{of: p, batch: b})
	}
	return p.ledger(f).Commit(ctx, b)
}

// straggler is a commit that was cut off and may still land, whatever its maker does
// meanwhile, and once it is dead.
type straggler struct {
	of    port
	batch *wallet.Batch
}

// land has the ledger decide.
func (c *straggler) land(simtest.Fault) {
	s := c.of.s
	s.late = slices.DeleteFunc(s.late, func(o *straggler) bool { return o == c })
	if s.ledger.Commit(context.Background(), c.batch) == nil {
		c.of.listed(c.batch)
	}
}

// Expect implements applier.Ledger.
func (port) Expect(...wallet.ExpectedBatch) {}

// Partition implements applier.Ledger.
func (p port) Partition(ctx context.Context, topic uuid.UUID, partition int32) (out wallet.Progress, err error) {
	p.call("asks for the offset", int(partition), partitionText(partition), readFaults, func(f simtest.Fault) { out, err = p.ledger(f).Partition(ctx, topic, partition) })
	return out, err
}

// Read implements applier.Ledger.
func (p port) Read(ctx context.Context, q wallet.SnapshotQuery) (out wallet.Snapshot, err error) {
	about := 0
	if len(q.Wallets) > 0 {
		about = walletNumber(q.Wallets[0])
	}
	detail := func() string {
		return fmt.Sprintf("%d wallets, %d operations, %d lists", len(q.Wallets), len(q.Operations), len(q.Lists))
	}
	p.call("reads", about, detail, readFaults, func(f simtest.Fault) { out, err = p.ledger(f).Read(ctx, q) })
	p.learn(out)
	return out, err
}

// Lost implements applier.Ledger. The simulated journal loses nothing.
func (p port) Lost(ctx context.Context, placed []wallet.Placed) (out []wallet.Key, err error) {
	about := walletNumber(placed[0].WalletID)
	p.call("asks for what is lost", about, nil, readFaults, func(f simtest.Fault) {
		if out, err = p.ledger(f).Lost(ctx, placed); len(out) > 0 {
			p.s.found("operations are taken for lost: %v", out)
		}
	})
	return out, err
}

// Locked implements applier.Ledger.
func (p port) Locked(ctx context.Context, ids []uuid.UUID) (out []uuid.UUID, err error) {
	p.call("asks who is held", 0, nil, readFaults, func(f simtest.Fault) {
		if _, err = p.ledger(f).Locked(ctx, ids); err != nil {
			return
		}
		for _, id := range ids {
			if p.s.held[id] {
				out = append(out, id)
			}
		}
	})
	return out, err
}

// Due implements applier.Ledger.
func (p port) Due(ctx context.Context, partition int32, at time.Time, most time.Duration, limit int) (out []wallet.ListHead, err error) {
	p.call("asks for due lists", int(partition), partitionText(partition), readFaults, func(f simtest.Fault) { out, err = p.ledger(f).Due(ctx, partition, at, most, limit) })
	return out, err
}

// Unjournaled implements applier.Ledger.
func (p port) Unjournaled(ctx context.Context, beyond uuid.UUID, limit int) (out []wallet.Key, err error) {
	p.call("asks for direct operations", 0, nil, readFaults, func(f simtest.Fault) { out, err = p.ledger(f).Unjournaled(ctx, beyond, limit) })
	return out, err
}

// Backfills implements applier.Ledger.
func (p port) Backfills(ctx context.Context, keys []wallet.Key) (out []wallet.Operation, err error) {
	detail := func() string { return fmt.Sprintf("%d operations", len(keys)) }
	p.call("reads direct operations", walletNumber(keys[0].WalletID), detail, readFaults, func(f simtest.Fault) { out, err = p.ledger(f).Backfills(ctx, keys) })
	return out, err
}

// Journaled implements applier.Ledger.
func (p port) Journaled(ctx context.Context, keys []wallet.Key) (err error) {
	detail := func() string { return fmt.Sprintf("%d operations", len(keys)) }
	p.call("notes backfills", walletNumber(keys[0].WalletID), detail, readFaults, func(f simtest.Fault) { err = p.ledger(f).Journaled(ctx, keys) })
	return err
}

// Append implements applier.Journal. A fault is one of the broker, which may have
// acknowledged some of the records before; the dead write nothing and choose nothing.
func (p port) Append(records ...wallet.Record) (receipts []wallet.Receipt, err error) {
	p.call("appends", walletNumber(records[0].WalletID), func() string { return recordsText(records) }, appendFaults, func(f simtest.Fault) {
		whole := len(records)
		if f != simtest.None {
			whole, err = 0, wallet.ErrUnacknowledged
			if !p.dead {
				whole = p.s.draw(len(records))
			}
		}
		for _, rec := range records[:whole] {
			receipts = append(receipts, p.append(rec))
		}
		for _, rec := range records[whole:] {
			p.lose(rec, f)
			receipts = append(receipts, wallet.NoReceipt)
		}
	})
	return receipts, err
}

func (p port) append(rec wallet.Record) wallet.Receipt {
	rec = p.s.log.Append(rec)
	p.Acknowledged(rec)
	p.Deliver(rec)
	return rec.Receipt
}

// lose has a record that is not acknowledged be in the journal, or land later, or never.
func (p port) lose(rec wallet.Record, f simtest.Fault) {
	switch {
	case f == simtest.LostAnswer:
		p.s.log.Append(rec)
	case !p.dead && p.s.draw(2) == 1:
		p.s.writes = append(p.s.writes, &write{of: p.member, rec: rec, abandoned: true, mute: true})
	}
}

// Bury implements applier.Journal.
func (p port) Bury(_ context.Context, rec wallet.Record) (err error) {
	p.call("buries", int(rec.Receipt.Partition), func() string { return fmt.Sprint(rec.Receipt) }, appendFaults, func(f simtest.Fault) {
		if f != simtest.CutOff {
			p.s.log.Bury(rec)
		}
		if f != simtest.None {
			err = wallet.ErrUnacknowledged
		}
	})
	return err
}

// PartitionOf implements applier.Journal.
func (p port) PartitionOf(id uuid.UUID) int32 { return p.s.log.PartitionOf(id) }

// Resume implements applier.Journal.
func (p port) Resume(partition int32) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if r := p.readers[partition]; r != nil {
		r.resumed = !r.paused
		r.paused = false
	}
}

// Announce implements applier.Announcer. The dead tell nobody.
func (p port) Announce(ctx context.Context, c wallet.Committed) {
	about := int(c.Partition)
	p.call("tells", about, func() string { return resultsText(c.Results) }, nil, func(simtest.Fault) {
		if !p.dead {
			p.told.Announce(ctx, c)
			p.s.known(c.Results)
		}
	})
}
