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

// residentMost is what docs/operations.md (Bounds) states for walletd as it is
// configured by default.
const residentMost = 864 // MiB

// walletsCurve measures a load that goes round ever more wallets.
func (b *bench) walletsCurve(ctx context.Context, w io.Writer, points []int) ([]target, error) {
	fmt.Fprintf(w, "wallets gone round\tapplied/s\tCPU µs per operation\tloader µs\trelative\twalletd MiB\tRedis MiB\n")
	s, first, last := b.subjects[flushed], figure{}, figure{}
	var ids []string
	for _, n := range points {
		more, err := s.create(ctx, n-len(ids))
		if err != nil {
			return nil, err
		}
		ids = append(ids, more...)
		if err := s.settle(ctx); err != nil {
			return nil, err
		}
		file, err := b.write(ids)
		if err != nil {
			return nil, err
		}
		last, err = b.measureFile(ctx, load{Connections: 256, Wallets: len(ids), file: file})
		if err != nil {
			return nil, err
		}
		if first.Sent == 0 {
			first = last
		}
		fmt.Fprintf(w, "%d\t%.0f\t%.0f\t%.0f\t%.2f\t%d\t%d\n", len(ids), last.PerSecond, last.cost(), last.CPUMicros[loader], last.relativeCost(first), last.RSSMiB[service], last.RSSMiB["redis"])
	}
	return []target{
		atMost(fmt.Sprintf("an operation with %d wallets, of its cost with %d", len(ids), points[0]), last.relativeCost(first), walletsGrowth, ""),
		atMost(fmt.Sprintf("walletd's memory with %d wallets", len(ids)), float64(last.RSSMiB[service]), residentMost, "MiB"),
	}, nil
}

func (s *subject) create(ctx context.Context, n int) (ids []string, err error) {
	if n <= 0 {
		return nil, nil
	}
	err = s.asJournaled(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, moreWallets, n)
		if err == nil {
			ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	return ids, err
}

// write makes the file of wallets that a load is given; the one before is gone.
func (b *bench) write(ids []string) (string, error) {
	file, err := os.Create(filepath.Join(b.components.dir, "wallets"))
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

// measureFile measures a load on wallets that existed before: what the run added is
// counted by what all of them have.
func (b *bench) measureFile(ctx context.Context, l load) (figure, error) {
	s := b.subjects[flushed]
	have, err := s.applied(ctx)
	if err != nil {
		return figure{}, err
	}
	before := s.usage()
	said, err := l.put(ctx, b.bin, s.process.url, b.seconds)
	if err != nil {
		return figure{}, err
	}
	if said.accepted() == 0 {
		return figure{}, fmt.Errorf("nothing was accepted: %v", said.Answers.Errors)
	}
	_, err = s.until(ctx, have+said.accepted())
	return s.figure(said, said.SendingSeconds+time.Since(said.SendingEnded).Seconds(), before), err
}
