package load

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/walletd/walletd/cmd/walletctl/internal/api"
)

// Run is one load with its verification.
type Run struct {
	config  Config
	api     *api.Client
	targets []target
	sender  *sender
	tally   *tally
	slots   *bounded
	start   time.Time
	drafted atomic.Int64 // operations
	settled atomic.Int64
}

// New prepares a run. The client is for wallets and histories, not for the load.
func New(client *api.Client, c Config) *Run {
	return &Run{config: c, api: client, sender: newSender(c),
		tally: newTally(), slots: newBounded(c.parallel())}
}

// Settled returns how many operations got an answer, or never will. It may be
// called while Load runs.
func (r *Run) Settled() int64 { return r.settled.Load() + r.notSent() }

// notSent counts the operations of requests that were not sent.
func (r *Run) notSent() int64 { return r.slots.notSent.Load() * int64(r.config.each()) }

// Create makes the wallets of the run, or takes those that it was given.
func (r *Run) Create(ctx context.Context) error {
	for _, id := range r.config.IDs {
		r.targets = append(r.targets, newTarget(id))
	}
	if len(r.targets) > 0 {
		return nil
	}
	r.targets = make([]target, r.config.Wallets)
	creating, ctx := errgroup.WithContext(ctx)
	creating.SetLimit(maxCreating)
	for i := range r.targets {
		creating.Go(func() error {
			answer, err := r.api.Create(ctx, "")
			if err != nil {
				return fmt.Errorf("wallet %d of %d: %w", i+1, r.config.Wallets, err)
			}
			r.targets[i] = newTarget(answer.Value.WalletID)
			return nil
		})
	}
	return creating.Wait()
}

// Load sends the requests and returns when each got its answer or its timeout.
// When ctx ends nothing more is sent.
func (r *Run) Load(ctx context.Context) *Report {
	defer r.sender.close()
	r.start = time.Now()
	spent := cpuTime()
	if r.config.Rate > 0 {
		r.open(ctx)
	} else {
		r.closed(ctx)
	}
	r.tally.answers.NotSent = r.notSent()
	took := time.Since(r.start)
	report := &Report{Answers: r.tally.answers, LatencyMs: r.tally.percentiles(),
		AcceptedPerSecond: perSecond(r.tally.accepted(), took), SendingSeconds: took.Seconds(), SendingEnded: r.start.Add(took),
		SendingCPUSeconds: (cpuTime() - spent).Seconds(),
		Bounded:           r.drafted.Load() > MaxOperations, Interrupted: ctx.Err() != nil}
	if len(r.config.IDs) == 0 {
		for _, t := range r.targets {
			report.Wallets = append(report.Wallets, t.id.String())
		}
	}
	return report
}

func (r *Run) open(ctx context.Context) {
	draws := newDrawing(r.config, 0)
	sleep, stop := newSleep()
	defer stop()
	openLoop(ctx, sleep, r.config.Rate, min(r.config.Planned(), MaxOperations)/int64(r.config.each()), func(due time.Time) {
		drafts := draws.request()
		r.slots.start(func() { r.request(drafts, due) })
	})
	r.slots.running.Wait()
}

func (r *Run) closed(ctx context.Context) {
	draws := make([]*drawing, r.config.Connections)
	for c := range draws {
		draws[c] = newDrawing(r.config, uint64(c))
		draws[c].next = c * r.config.Wallets / r.config.Connections // each goes round from a place of its own
	}
	closedLoop(ctx, r.config.Connections, r.config.Duration, func(c int) bool {
		if r.drafted.Add(int64(r.config.each())) > MaxOperations {
			return false
		}
		r.request(draws[c].request(), time.Now())
		return true
	})
}

// request sends the drafts, which are of one wallet, and notes what each was told.
func (r *Run) request(drafts []draft, due time.Time) {
	sent := time.Now()
	replies := r.sender.send(&r.targets[drafts[0].target], drafts)
	answered := time.Now()
	for i := range replies {
		replies[i].record.sent, replies[i].record.answered = sent.Sub(r.start), answered.Sub(r.start)
	}
	r.tally.add(replies, answered.Sub(due))
	r.settled.Add(int64(len(replies)))
}

// Verify waits until what was accepted has its outcome, reads every wallet's
// history and completes the report. Nothing ends it early but its own bounds.
func (r *Run) Verify(ctx context.Context, report *Report) {
	start := time.Now()
	v := &verifier{api: r.api, tally: r.tally, faults: newFaults(), deadline: start.Add(r.config.Drain)}
	v.verify(ctx, r.targets)
	report.DrainSeconds = time.Since(start).Seconds()
	report.AppliedPerSecond = perSecond(v.history.Operations, v.history.Newest.Sub(v.history.Oldest))
	report.Verification = &Verification{History: v.history, Followed: v.followed, Faults: v.faults}
}
