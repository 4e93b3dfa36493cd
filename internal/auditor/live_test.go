package auditor_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/audit"
	"github.com/walletd/walletd/internal/auditor"
	"github.com/walletd/walletd/internal/balance"
	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/wallet"
)

// work is walletd at work in the places, without its HTTP side.
type work struct {
	*places
	journal *journal.Journal
	applier *applier.Applier
	ids     []uuid.UUID
	stop    chan struct{}
	workers sync.WaitGroup
}

func (p *places) work(wallets int) *work {
	w := &work{places: p, stop: make(chan struct{})}
	log := slog.New(slog.DiscardHandler)
	cache := balance.Open(balance.Config{Address: p.redis.Addr(), Timeout: time.Second, TTL: time.Hour, MaxDirty: 1000, Replica: uuid.New(), Ledger: p.ledger, Log: log, Now: time.Now})
	w.journal = must[*journal.Journal](p.t)(journal.Open(journal.Config{
		Brokers: p.cfg.Kafka.Brokers, Topic: p.topic.Name, Group: "work", AckTimeout: 5 * time.Second,
		RequestTimeout: 5 * time.Second, SessionTimeout: 6 * time.Second, Replica: uuid.New(), Log: log,
	}))
	w.applier = applier.New(applier.Config{Ledger: p.ledger, Journal: w.journal, Announcer: cache, Limits: applier.DefaultLimits(), Log: log,
		Registerer: prometheus.NewRegistry(), Now: time.Now})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { cache.Breaker.Run(ctx) })
	w.journal.Start(p.ledger, w.applier)
	for range wallets {
		id := uuid.New()
		op := wallet.Operation{ID: id, WalletID: id, AcceptedAt: time.Now()}
		must[[]wallet.Receipt](p.t)(w.journal.Append(wallet.Record{Kind: wallet.KindCreate, WalletID: id, Operations: []wallet.Operation{op}}))
		w.ids = append(w.ids, id)
	}
	p.t.Cleanup(func() {
		w.quiet()
		w.journal.Close()
		w.applier.Close()
		cancel()
		running.Wait()
		cache.Close()
	})
	return w
}

// quiet ends the load.
func (w *work) quiet() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.workers.Wait()
}

// load writes operations until quiet: most to the journal, some on the direct way,
// some on both, some twice.
func (w *work) load(seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	var last wallet.Operation
	for n := 0; ; n++ {
		select {
		case <-w.stop:
			return
		default:
		}
		op := wallet.Operation{ID: uuid.New(), WalletID: w.ids[r.IntN(len(w.ids))], Type: wallet.Type(1 + r.IntN(2)), Amount: wallet.Amount(1 + r.IntN(100)),
			AcceptedAt: time.Now(), Receipt: wallet.NoReceipt}
		switch r.IntN(40) {
		case 0:
			op = last // a repeat
		case 1:
			op.ID, op.WalletID = last.ID, last.WalletID // its key with something else
		case 2, 3:
			op.WalletID = w.ids[1+r.IntN(len(w.ids)-1)] // the first is held locked, which would hold this load up
			_, _ = w.applier.Direct(context.Background(), op)
			if r.IntN(2) == 0 {
				continue
			}
		}
		if op.ID != uuid.Nil {
			_, _ = w.journal.Append(wallet.Record{Kind: wallet.KindOperations, WalletID: op.WalletID, Operations: []wallet.Operation{op}})
		}
		last = op
	}
}

// hold keeps a wallet's row locked now and then, so that it is set aside.
func (w *work) hold() {
	for {
		tx := must0(w.conn.Begin(context.Background()))
		_, _ = tx.Exec(context.Background(), "SELECT FROM wallets WHERE id = $1 FOR UPDATE", w.ids[0])
		select {
		case <-w.stop:
		case <-time.After(3 * time.Second):
		}
		_ = tx.Rollback(context.Background())
		select {
		case <-w.stop:
			return
		case <-time.After(time.Second):
		}
	}
}

func must0[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// What moves while the audit runs is no finding: operations under way, requeued
// ones, direct ones and their backfills, balances.
func TestASystemAtWorkIsClean(t *testing.T) {
	w := newPlaces(t).work(8)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for n := range uint64(6) {
		w.workers.Go(func() { w.load(seed + n) })
	}
	w.workers.Go(w.hold)
	requeued, awaiting := int64(0), int64(0)
	deadline, passes := time.Now().Add(patience), 0
	enough := func(r *audit.Report) bool {
		return passes > 5 && r.Operations > 2000 && requeued > 0 && awaiting > 0 && r.KeysReused > 0
	}
	for r := new(audit.Report); !enough(r); passes++ {
		if r = w.audit(auditor.Options{}); !r.Clean() || r.CacheUnread != "" {
			t.Fatalf("found: %s\n%s", r.CacheUnread, list(r.Findings))
		}
		requeued, awaiting = max(requeued, r.Requeued), max(awaiting, r.AwaitingBackfill)
		if time.Now().After(deadline) {
			t.Fatalf("%d operations, %d requeued, %d awaited their backfill, %d keys reused: too little to judge", r.Operations, requeued, awaiting, r.KeysReused)
		}
	}
	w.quiet()
	r := w.audit(auditor.Options{})
	t.Logf("%d audits; %d records, %d operations, %d repeats; at most %d requeued, %d awaiting their backfill", passes, r.Records, r.Operations, r.Repeats, requeued, awaiting)
	if !r.Clean() || r.Cached != 8 {
		t.Errorf("%d cached balances were compared\n%s", r.Cached, list(r.Findings))
	}
}
