package main

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walletd/walletd/bench/rival"
	"github.com/walletd/walletd/internal/embedded/embeddedtest"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// kept returns an empty ledger, as a rival has it.
func kept(t *testing.T) (context.Context, *pgxpool.Pool) {
	ctx := embeddedtest.Context(t)
	pool, err := pgxpool.New(ctx, embeddedtest.EmptyDatabase(t))
	if err == nil {
		t.Cleanup(pool.Close)
		_, err = pool.Exec(ctx, rival.Schema)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ctx, pool
}

// A wallet with a deposit of 10, a withdrawal of 4 and one of 100 that was refused.
const history = `
WITH w AS (INSERT INTO wallets (id, balance, version) VALUES ($1, 6, 3))
INSERT INTO operations (wallet_id, operation_id, sequence, type, amount, status, balance_after)
SELECT $1, gen_random_uuid(), o.* FROM (VALUES (1, 1, 10, 1, 10), (2, 2, 4, 1, 6), (3, 2, 100, 2, 6)) AS o`

// historyAmount is what its amounts add up to.
const historyAmount = 114

func TestAFigureCountsOnlyIfTheLedgerHasIt(t *testing.T) {
	ctx, pool := kept(t)
	s, right := &subject{name: "rival", ledger: pool}, answers{OK: 2, Refused: 1}
	for name, of := range map[string]struct {
		spoil string
		told  answers
		ok    bool
	}{
		"as it was told":                  {"", right, true},
		"with outcomes that come later":   {"", answers{Accepted: 2, OK: 1}, true},
		"one is lost":                     {"", answers{OK: 3, Refused: 1}, false},
		"one was applied twice":           {"", answers{OK: 1, Refused: 1}, false},
		"one is lost, another one twice":  {"", answers{OK: 2, Refused: 1, Amount: historyAmount + 6}, false},
		"one was told that it is refused": {"", answers{OK: 1, Refused: 2}, false},
		"nobody was told of the refusal":  {"", answers{OK: 3}, false},
		"one of a bulk is refused":        {"", answers{OK: 3, inBulks: 3}, true},
		"more are refused than are open":  {`UPDATE operations SET status = 2, balance_after = 10 WHERE wallet_id = $1 AND sequence = 2`, answers{OK: 1, Refused: 1, Accepted: 0}, false},
		"refused for no reason":           {`WITH w AS (UPDATE wallets SET balance = 10 WHERE id = $1) UPDATE operations SET status = CASE sequence WHEN 1 THEN 1 ELSE 2 END, balance_after = 10 WHERE wallet_id = $1`, answers{OK: 1, Refused: 2}, false},
		"one has no answer":               {"", answers{OK: 1, Refused: 1, None: 1}, false},
		"one failed":                      {"", answers{OK: 1, Refused: 1, Server: 1}, false},
		"a gap":                           {`UPDATE operations SET sequence = 4 WHERE wallet_id = $1 AND sequence = 3`, right, false},
		"a gap that the wallet knows of":  {`WITH w AS (UPDATE wallets SET version = 4 WHERE id = $1) UPDATE operations SET sequence = 4 WHERE wallet_id = $1 AND sequence = 3`, right, false},
		"another balance":                 {`UPDATE wallets SET balance = 7 WHERE id = $1`, right, false},
		"another balance after":           {`UPDATE operations SET balance_after = 5 WHERE wallet_id = $1 AND sequence = 2`, right, false},
		"money moved by what was refused": {`UPDATE operations SET balance_after = 0 WHERE wallet_id = $1 AND sequence = 3`, right, false},
		"another version":                 {`UPDATE wallets SET version = 2 WHERE id = $1`, right, false},
		"a history without the last":      {`DELETE FROM operations WHERE wallet_id = $1 AND sequence = 3`, answers{OK: 2, Amount: 14}, false},
		"operations of nobody":            {`DELETE FROM wallets WHERE id = $1`, right, false},
	} {
		if of.told.Amount == 0 {
			of.told.Amount = historyAmount
		}
		wallet := uuid.New()
		for _, statement := range []string{history, of.spoil} {
			if statement != "" {
				if _, err := pool.Exec(ctx, statement, wallet); err != nil {
					t.Fatal(name, err)
				}
			}
		}
		if err := s.check(ctx, []string{wallet.String()}, of.told); (err == nil) != of.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckAllFindsOperationsThatNobodyWasTold(t *testing.T) {
	ctx, pool := kept(t)
	if _, err := pool.Exec(ctx, history, uuid.New()); err != nil {
		t.Fatal(err)
	}
	for told, ok := range map[int64]bool{2: false, 3: true, 4: false} {
		s := &subject{name: "rival", ledger: pool, told: answers{Accepted: told}}
		if err := s.checkAll(ctx); (err == nil) != ok {
			t.Errorf("%d were accepted: %v", told, err)
		}
	}
}
