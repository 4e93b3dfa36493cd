package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

// moreWallets makes wallets and returns their ids.
const moreWallets = `
INSERT INTO wallets (id, balance, version, created_at, updated_at)
SELECT gen_random_uuid(), 0, 0, now(), now() FROM generate_series(1, $1) RETURNING id::text`

// maxResident is what docs/operations.md (Bounds) states for walletd as it is
// configured by default.
const maxResident = 864 // MiB

// walletsCurve measures a load that goes round ever more wallets.
func (b *bench) walletsCurve(ctx context.Context, s *subject, w io.Writer, points []int) ([]target, error) {
	fmt.Fprintf(w, "wallets gone round\tapplied/s\tCPU µs per operation\tempty handler µs\trelative\twalletd MiB\tRedis MiB\n")
	var first, last point
	var worst float64
	var ids []string
	for i, n := range points {
		more, err := s.create(ctx, n-len(ids))
		if err != nil {
			return nil, err
		}
		ids = append(ids, more...)
		if last, err = b.walletsPoint(ctx, s, ids, b.seconds); err != nil {
			return nil, err
		}
		if i == 0 {
			first = last
		}
		worst = max(worst, last.relative(first))
		fmt.Fprintf(w, "%d\t%.0f\t%.0f\t%.0f\t%.2f\t%d\t%d\n", len(ids), last.PerSecond, last.cost(), last.unit, last.relative(first), last.RSSMiB[service], last.RSSMiB["redis"])
	}
	touched, mebibytes, err := b.touch(ctx, s, ids, last.PerSecond)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "%d of them touched: walletd has %d MiB\n", touched, mebibytes)
	return []target{
		atMost(fmt.Sprintf("an operation with up to %d wallets, at most, of its cost with %d", len(ids), points[0]), worst, walletsGrowth, ""),
		atMost(fmt.Sprintf("walletd's memory with %d wallets touched", touched), float64(mebibytes), maxResident, "MiB"),
	}, nil
}

// touch has as good as every wallet used once, at the pace of the last point: walletd then
// holds as much of wallets as it ever will.
func (b *bench) touch(ctx context.Context, s *subject, ids []string, perSecond float64) (touched, mebibytes int64, err error) {
	const more = 1.1 // so that slow connections come past all of theirs too
	d := time.Duration(more * float64(len(ids)) / perSecond * float64(time.Second))
	fmt.Fprintf(b.say, "touching %d wallets, for %s\n", len(ids), d.Round(time.Second))
	p, err := b.walletsPoint(ctx, s, ids, d)
	if err != nil {
		return 0, 0, err
	}
	err = s.ledger.QueryRow(ctx, `SELECT count(*) FROM wallets WHERE version > 0`).Scan(&touched)
	return touched, p.RSSMiB[service], err
}

// walletsPoint measures a load on wallets that all loads so far were put on.
func (b *bench) walletsPoint(ctx context.Context, s *subject, ids []string, d time.Duration) (p point, err error) {
	if err = s.settle(ctx); err != nil {
		return p, err
	}
	file, err := b.write("wallets", ids)
	if err != nil {
		return p, err
	}
	if p.unit, err = b.calibrate(ctx); err != nil {
		return p, err
	}
	c, before := cell{Subject: flushed, load: load{Connections: 256, Wallets: len(ids), file: file}}, s.usage()
	said, err := b.put(ctx, s, c.load, d)
	if err != nil {
		return p, err
	}
	// Who waits is answered when it is applied: there is no drain to be timed.
	p.figure = s.figure(c, said, said.SendingSeconds, before)
	if p.Late > 0 {
		return p, fmt.Errorf("%d requests did not get their outcome", p.Late)
	}
	return p, s.check(ctx, ids, s.told)
}

func (s *subject) create(ctx context.Context, n int) (ids []string, err error) {
	err = s.asJournaled(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, moreWallets, n)
		if err == nil {
			ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	return ids, err
}

// write makes a file of wallets that a load is given; the one before of that name is gone.
func (b *bench) write(name string, ids []string) (string, error) {
	file, err := os.Create(filepath.Join(b.components.dir, name))
	if err != nil {
		return "", err
	}
	defer file.Close()
	w := bufio.NewWriter(file)
	for _, id := range ids {
		fmt.Fprintln(w, id)
	}
	return file.Name(), w.Flush()
}
