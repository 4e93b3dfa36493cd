package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
)

// What the curve of a backlog is made of.
const (
	backlogWallets = 1000
	pileFor        = 10 * time.Second // of journaling, before it is looked whether there is enough
	besideRate     = 500.0            // live requests a second while the backlog drains
	besideFor      = 5 * time.Second
)

// startGrowth is how much longer a start may take in front of a long journal: what one
// start of the same differs from the next.
const startGrowth = 0.25 // s

// backlogCurve compares live traffic with the draining of a backlog that came
// together while PostgreSQL was frozen, with live traffic beside it, and times a
// start in front of a short and of a long journal.
func (b *bench) backlogCurve(ctx context.Context, s *subject, w io.Writer, operations int64) ([]target, error) {
	short, err := s.restart(ctx)
	if err != nil {
		return nil, err
	}
	live, err := b.measure(ctx, cell{Subject: flushed, load: load{Connections: 256, Wallets: backlogWallets}})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "backlog\toperations\ta second\n")
	fmt.Fprintf(w, "applied live, 256 connections, %d wallets\t\t%.0f\n", backlogWallets, live.PerSecond)
	// walletd remembers twice as many operations without an outcome: all of the backlog.
	s.more = []string{fmt.Sprint("WALLETD_REQUESTS=", 2*operations)}
	if _, err := s.restart(ctx); err != nil {
		return nil, err
	}
	drained, beside, err := b.drain(ctx, s, w, operations)
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
		atMost("live requests beside it that were not accepted", float64(beside.unprocessed()), 0, ""),
		atMost("a start in front of a long journal, longer than of a short one", (long - short).Seconds(), startGrowth, "s"),
	}, nil
}

// drain piles up a backlog and has it applied while live requests of other wallets come
// in. It returns how many operations of it were applied a second, and what the live
// requests were told.
func (b *bench) drain(ctx context.Context, s *subject, w io.Writer, operations int64) (perSecond float64, beside answers, err error) {
	ids, backlog, err := b.backlogFile(ctx, s, "backlog")
	if err != nil {
		return 0, beside, err
	}
	others, live, err := b.backlogFile(ctx, s, "live")
	if err != nil {
		return 0, beside, err
	}
	b.components.postgres.Pause()
	piled, took, err := b.pile(ctx, s, load{Connections: 256, Wallets: len(ids), Async: true, file: backlog}, operations)
	b.components.postgres.Resume()
	if err != nil {
		return 0, beside, err
	}
	fmt.Fprintf(w, "journaled while PostgreSQL was frozen, walletd then has %d MiB\t%d\t%.0f\n", s.usage()[service].RSS>>20, piled.promised(), float64(piled.promised())/took.Seconds())
	start := time.Now()
	var g errgroup.Group
	g.Go(func() error {
		said, err := b.put(ctx, s, load{Rate: besideRate, Wallets: len(others), file: live}, besideFor)
		beside = said.Answers
		return err
	})
	if err = s.drained(ctx, ids, piled.promised()); err != nil {
		return 0, beside, errors.Join(err, g.Wait())
	}
	perSecond = float64(piled.promised()) / time.Since(start).Seconds()
	fmt.Fprintf(w, "the backlog applied, live requests beside it\t%d\t%.0f\n", piled.promised(), perSecond)
	if err = g.Wait(); err != nil {
		return 0, beside, err
	}
	fmt.Fprintf(w, "live requests beside it, and how many were not accepted\t%d\t%d\n", beside.promised(), beside.unprocessed())
	return perSecond, beside, errors.Join(s.drained(ctx, others, beside.promised()), s.check(ctx, ids, piled), s.check(ctx, others, beside))
}

func (b *bench) backlogFile(ctx context.Context, s *subject, name string) (ids []string, file string, err error) {
	if ids, err = s.create(ctx, backlogWallets); err == nil {
		file, err = b.write(name, ids)
	}
	return ids, file, err
}

// pile journals operations, answered with 202, until there are as many as asked.
func (b *bench) pile(ctx context.Context, s *subject, l load, operations int64) (piled answers, took time.Duration, err error) {
	for piled.promised() < operations {
		fmt.Fprintf(b.say, "piling up: %d of %d operations\n", piled.promised(), operations)
		said, err := b.put(ctx, s, l, pileFor)
		if err != nil {
			return piled, took, err
		}
		piled = piled.and(said.Answers)
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
