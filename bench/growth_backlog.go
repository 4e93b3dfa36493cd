package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Bounds of a backlog's draining, and what its curve is made of.
const (
	backlogTimeout = 10 * time.Minute
	backlogPoll    = 100 * time.Millisecond
	backlogWallets = 1000
	pileFor        = 10 * time.Second // of journaling, before it is looked whether there is enough
	besideRate     = 500.0            // live requests a second while the backlog drains
	besideFor      = 5 * time.Second
)

// sumOfVersions counts all operations that have a wallet: its version is the number
// of the last.
const sumOfVersions = `SELECT coalesce(sum(version), 0)::bigint FROM wallets`

func (s *subject) applied(ctx context.Context) (n int64, err error) {
	err = s.ledger.QueryRow(ctx, sumOfVersions).Scan(&n)
	return n, err
}

// until waits until the ledger has that many operations and returns how long it took.
func (s *subject) until(ctx context.Context, operations int64) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, backlogTimeout)
	defer cancel()
	for start := time.Now(); ; {
		have, err := s.applied(ctx)
		if err != nil {
			return 0, fmt.Errorf("%d of %d operations are applied: %w", have, operations, err)
		}
		if have >= operations {
			return time.Since(start), nil
		}
		select {
		case <-time.After(backlogPoll):
		case <-ctx.Done():
		}
	}
}

// startGrowth is how much longer a start may take in front of a long journal: what one
// start of the same differs from the next.
const startGrowth = 0.25 // s

// backlogCurve compares live traffic with the draining of a backlog that came
// together while PostgreSQL was frozen, with live traffic beside it, and times a
// start in front of a short and of a long journal.
func (b *bench) backlogCurve(ctx context.Context, w io.Writer, operations int64) ([]target, error) {
	s := b.subjects[flushed]
	short, err := s.restart(ctx)
	if err != nil {
		return nil, err
	}
	live, err := b.measure(ctx, cell{Subject: flushed, load: load{Connections: 256, Wallets: backlogWallets}})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "backlog\toperations\ta second\n")
	fmt.Fprintf(w, "applied live, 256 connections, %d wallets\t%d\t%.0f\n", backlogWallets, live.Sent, live.PerSecond)
	// walletd remembers twice as many operations without an outcome: all of the backlog.
	s.more = []string{fmt.Sprint("WALLETD_REQUESTS=", 2*operations)}
	if _, err := s.restart(ctx); err != nil {
		return nil, err
	}
	drained, turnedAway, err := b.drain(ctx, w, operations)
	if err != nil {
		return nil, err
	}
	s.more = nil
	long, err := s.restart(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "start to ready, journal short and long\t\t%.2f s, %.2f s\n", short.Seconds(), long.Seconds())
	return []target{
		atLeast("a backlog's applying, of live traffic's", drained/live.PerSecond, 1),
		atMost("live requests beside it that were not accepted", float64(turnedAway), 0, ""),
		atMost("a start in front of a long journal, longer than of a short one", (long - short).Seconds(), startGrowth, "s"),
	}, nil
}

// drain piles up a backlog and has it applied while live requests come in. It returns
// how many operations of it were applied a second, and how many live requests were
// not accepted.
func (b *bench) drain(ctx context.Context, w io.Writer, operations int64) (perSecond float64, turnedAway int64, err error) {
	s := b.subjects[flushed]
	ids, err := s.create(ctx, backlogWallets)
	if err != nil {
		return 0, 0, err
	}
	file, err := b.write(ids)
	if err != nil {
		return 0, 0, err
	}
	before, err := s.applied(ctx)
	if err != nil {
		return 0, 0, err
	}
	b.components.postgres.Pause()
	piled, took, err := b.pile(ctx, load{Connections: 256, Wallets: len(ids), Async: true, file: file}, operations)
	b.components.postgres.Resume()
	if err != nil {
		return 0, 0, err
	}
	fmt.Fprintf(w, "journaled while PostgreSQL was frozen, walletd then has %d MiB\t%d\t%.0f\n", s.usage()[service].RSS>>20, piled, float64(piled)/took.Seconds())
	beside := b.startLive(ctx, load{Rate: besideRate, Wallets: len(ids), file: file})
	if took, err = s.until(ctx, before+piled); err != nil {
		return 0, 0, err
	}
	perSecond = float64(piled) / took.Seconds()
	fmt.Fprintf(w, "the backlog applied, live requests beside it\t%d\t%.0f\n", piled, perSecond)
	at := <-beside
	if at.err != nil {
		return 0, 0, at.err
	}
	fmt.Fprintf(w, "live requests beside it, and how many were not accepted\t%d\t%d\n", at.accepted(), at.unhappy())
	return perSecond, at.unhappy(), s.expectExactly(ctx, before, piled+at.accepted())
}

// answered is what became of a load beside the draining.
type answered struct {
	said
	err error
}

func (b *bench) startLive(ctx context.Context, l load) <-chan answered {
	done := make(chan answered, 1)
	go func() {
		said, err := l.put(ctx, b.bin, b.subjects[flushed].process.url, besideFor)
		done <- answered{said, err}
	}()
	return done
}

// expectExactly waits until the ledger has so many operations more than before, and is an
// error if it then has more than these.
func (s *subject) expectExactly(ctx context.Context, before, accepted int64) error {
	if _, err := s.until(ctx, before+accepted); err != nil {
		return err
	}
	if have, err := s.applied(ctx); err != nil || have != before+accepted {
		return fmt.Errorf("WRONG: the ledger has %d operations, %d were accepted: %w", have-before, accepted, err)
	}
	return nil
}

// pile journals operations, answered with 202, until there are as many as asked.
func (b *bench) pile(ctx context.Context, l load, operations int64) (piled int64, took time.Duration, err error) {
	for piled < operations {
		fmt.Fprintf(b.say, "piling up: %d of %d operations\n", piled, operations)
		said, err := l.put(ctx, b.bin, b.subjects[flushed].process.url, pileFor)
		if err != nil {
			return piled, took, err
		}
		if said.Answers.Accepted == 0 {
			return piled, took, fmt.Errorf("nothing is accepted while PostgreSQL is frozen: %v", said.Answers.Errors)
		}
		piled += said.Answers.Accepted
		took += time.Duration(said.SendingSeconds * float64(time.Second))
	}
	return piled, took, nil
}

// restart stops walletd and returns how long its next start takes until it is ready
// and everything is up.
func (s *subject) restart(ctx context.Context) (time.Duration, error) {
	s.process.stop()
	start := time.Now()
	err := s.start(ctx)
	return time.Since(start), err
}
