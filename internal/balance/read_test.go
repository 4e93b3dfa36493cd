package balance

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// code returns the code of a domain error; empty for other errors and nil.
func code(err error) wallet.Code {
	var e *wallet.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// reading is Wallet or Fresh.
type reading func(context.Context, uuid.UUID, int64) (wallet.Wallet, error)

// Invariant 8, whatever Redis and the ledger have: never less than N; Redis if it
// has N, else the ledger if it has N, else not_yet_visible.
func TestMinSequenceIsNeverAnsweredWithLess(t *testing.T) {
	redis := embeddedtest.Miniredis(t)
	l := newLedger()
	c := opened(t, testConfig(redis.Addr(), l))
	rapid.Check(t, func(t *rapid.T) {
		id := uuid.New()
		sequences := rapid.Int64Range(-1, 6) // -1: has nothing
		cached, kept := sequences.Draw(t, "cached"), sequences.Draw(t, "kept")
		least, fresh, down := rapid.Int64Range(0, 6).Draw(t, "least"), rapid.Bool().Draw(t, "fresh"), rapid.Bool().Draw(t, "ledger down")
		if cached >= 0 {
			if err := c.Put(context.Background(), at(id, cached)); err != nil {
				t.Fatal(err)
			}
		}
		if kept >= 0 {
			l.wallets[id] = at(id, kept)
		}
		l.err = nil
		if down {
			l.err = errLedger
		}
		read := c.Wallet
		if fresh {
			read = c.Fresh
		}
		w, err := read(context.Background(), id, least)
		switch {
		case !fresh && cached >= max(least, 0):
			expect(t, w, err, at(id, cached), nil)
		case down:
			expect(t, w, err, wallet.Wallet{}, errLedger)
		case kept < 0 && cached == 0 && least == 0: // its creation is not applied yet
			expect(t, w, err, at(id, 0), nil)
		case kept < 0 && cached != 0:
			expectCode(t, err, wallet.CodeWalletNotFound)
		case kept < least:
			expectCode(t, err, wallet.CodeNotYetVisible)
		default:
			expect(t, w, err, at(id, kept), nil)
		}
	})
}

func expect(t *rapid.T, w wallet.Wallet, err error, want wallet.Wallet, wantErr error) {
	if w != want || !errors.Is(err, wantErr) {
		t.Fatalf("%+v, %v; want %+v, %v", w, err, want, wantErr)
	}
}

func expectCode(t *rapid.T, err error, want wallet.Code) {
	if code(err) != want {
		t.Fatalf("%v, want %s", err, want)
	}
}

// Readers that were told a sequence read with it at once, on both replicas, while
// the puts of others lag behind.
func TestWhoWasToldASequenceReadsNothingOlder(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		l, id := newLedger(), uuid.New()
		replicas := []*Cache{opened(t, testConfig(address, l)), opened(t, testConfig(address, l))}
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Go(func() {
				for n := range 100 {
					told := l.commit(id)
					if n%3 == 0 { // others die before their put
						_ = replicas[i%2].Put(context.Background(), told)
					}
					w, err := replicas[n%2].Wallet(context.Background(), id, told.Sequence)
					if err != nil || w.Sequence < told.Sequence || w != at(id, w.Sequence) {
						t.Errorf("told %d, read %+v, %v", told.Sequence, w, err)
					}
				}
			})
		}
		clients.Wait()
	})
}

func TestNotYetVisibleSaysWhenToTryAgain(t *testing.T) {
	w := at(uuid.New(), 3)
	c := opened(t, testConfig(embeddedtest.Miniredis(t).Addr(), newLedger(w)))
	_, err := c.Wallet(t.Context(), w.ID, 4)
	var e *wallet.Error
	if !errors.As(err, &e) || e.Code != wallet.CodeNotYetVisible || e.RetryAfter <= 0 {
		t.Errorf("%v", err)
	}
}

func TestReadFillsTheCacheAndTheNextOneIsServedFromIt(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		w := at(uuid.New(), 3)
		l := newLedger(w)
		c := opened(t, testConfig(address, l))
		for range 3 {
			if got, err := c.Wallet(t.Context(), w.ID, 0); err != nil || got != w {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		if l.asked() != 1 {
			t.Errorf("%d reads of the ledger", l.asked())
		}
		l.fail(errLedger)
		if got, err := c.Wallet(t.Context(), w.ID, 3); err != nil || got != w {
			t.Errorf("without the ledger: %+v, %v", got, err)
		}
	})
}

func TestFreshReadsTheLedgerAndRenewsTheCache(t *testing.T) {
	id := uuid.New()
	l := newLedger(at(id, 5))
	address := embeddedtest.Miniredis(t).Addr()
	c := opened(t, testConfig(address, l))
	if err := c.Put(t.Context(), at(id, 4)); err != nil {
		t.Fatal(err)
	}
	if w, err := c.Fresh(t.Context(), id, 0); err != nil || w.Sequence != 5 {
		t.Errorf("%+v, %v", w, err)
	}
	if got := stored(t, client(t, address), id); got != 5 {
		t.Errorf("Redis has %d", got)
	}
	l.fail(errLedger)
	if _, err := c.Fresh(t.Context(), id, 0); !errors.Is(err, errLedger) {
		t.Errorf("a fresh read without the ledger: %v", err)
	}
}

func TestThatAWalletDoesNotExistIsNotCached(t *testing.T) {
	id := uuid.New()
	l := newLedger()
	c := opened(t, testConfig(embeddedtest.Miniredis(t).Addr(), l))
	if _, err := c.Wallet(t.Context(), id, 0); code(err) != wallet.CodeWalletNotFound || c.Known(t.Context(), id) {
		t.Fatalf("%v", err)
	}
	l.commit(id)
	if w, err := c.Wallet(t.Context(), id, 0); err != nil || w.Sequence != 1 {
		t.Errorf("%+v, %v", w, err)
	}
	if !c.Known(t.Context(), id) {
		t.Error("Redis has it and does not know it")
	}
}

// Its creation was accepted, and waits in the journal: the wallet is there, and empty. A
// ledger that lacks a wallet which has moved was restored.
func TestAWalletWhoseCreationIsNotAppliedYetIsRead(t *testing.T) {
	since := time.UnixMicro(1_700_000_000_000_000).UTC()
	type knows = func(c *Cache, redis *miniredis.Miniredis, empty wallet.Wallet)
	for name, c := range map[string]struct {
		know knows
		want wallet.Code
	}{
		"it exists":                  {know: func(c *Cache, _ *miniredis.Miniredis, w wallet.Wallet) { _ = c.PutMaybeStale(t.Context(), w) }},
		"it is new":                  {know: func(c *Cache, _ *miniredis.Miniredis, w wallet.Wallet) { _ = c.Put(t.Context(), w) }},
		"it was made by nobody else": {know: func(c *Cache, _ *miniredis.Miniredis, w wallet.Wallet) { _ = c.PutMade(t.Context(), w) }},
		"it was made, long ago": {know: func(c *Cache, redis *miniredis.Miniredis, w wallet.Wallet) {
			_ = c.PutMade(t.Context(), w)
			redis.FastForward(c.config.TTL + time.Second)
		}},
		"it is new, and could not be put": {know: func(c *Cache, redis *miniredis.Miniredis, w wallet.Wallet) { refused(t, c, redis, w) }},
		"it has moved, and is lost": {
			know: func(c *Cache, _ *miniredis.Miniredis, w wallet.Wallet) { _ = c.PutMaybeStale(t.Context(), at(w.ID, 1)) },
			want: wallet.CodeWalletNotFound,
		},
	} {
		t.Run(name, func(t *testing.T) {
			redis, empty := embeddedtest.Miniredis(t), wallet.Wallet{ID: uuid.New(), UpdatedAt: since}
			cache := opened(t, testConfig(redis.Addr(), newLedger()))
			c.know(cache, redis, empty)
			for _, read := range []reading{cache.Wallet, cache.Fresh} {
				w, err := read(t.Context(), empty.ID, 0)
				if code(err) != c.want || c.want == "" && w != empty {
					t.Errorf("%+v, %v", w, err)
				}
			}
			if _, err := cache.Fresh(t.Context(), empty.ID, 1); c.want == "" && code(err) != wallet.CodeNotYetVisible {
				t.Errorf("at sequence 1: %v", err)
			}
		})
	}
}

// A client that goes away says nothing about Redis.
func TestCallerWhoGoesAwayDoesNotMakeRedisDown(t *testing.T) {
	c := opened(t, testConfig(embeddedtest.Miniredis(t).Addr(), newLedger()))
	down := c.Down()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = c.Wallet(ctx, uuid.New(), 0)
	_ = c.Put(ctx, at(uuid.New(), 1))
	select {
	case <-down:
		t.Error("Redis counts as down")
	default:
	}
	if c.Dirty() != 1 {
		t.Errorf("%d dirty: a put that was not made is forgotten", c.Dirty())
	}
}

// While the ledger is away it is known what a wallet holds that was just made: nothing. That
// may be old after a TTL, when what has come since may not have got to Redis.
func TestAWalletThatWasJustMadeIsEmpty(t *testing.T) {
	redis, now := embeddedtest.Miniredis(t), &clock{now: time.Unix(1_700_000_000, 0)}
	l := newLedger()
	l.fail(errLedger)
	cfg := testConfig(redis.Addr(), l)
	cfg.Now = now.Now
	c := opened(t, cfg)
	made := wallet.Wallet{ID: uuid.New(), UpdatedAt: now.Now().UTC()}
	_ = c.PutMade(t.Context(), made)
	if w, err := c.Wallet(t.Context(), made.ID, 0); err != nil || w != made {
		t.Errorf("just made: %+v, %v", w, err)
	}
	now.advance(cfg.TTL + time.Second)
	if w, err := c.Wallet(t.Context(), made.ID, 0); !errors.Is(err, errLedger) || !c.Known(t.Context(), made.ID) {
		t.Errorf("after a TTL: %+v, %v, known %t", w, err, c.Known(t.Context(), made.ID))
	}
	_ = c.Put(t.Context(), at(made.ID, 1))
	if w, err := c.Wallet(t.Context(), made.ID, 0); err != nil || w.Sequence != 1 {
		t.Errorf("moved: %+v, %v", w, err)
	}
}

// meanwhile is a ledger of which something becomes true after it was read.
type meanwhile struct {
	*ledger
	happens func()
}

func (l *meanwhile) Wallet(ctx context.Context, id uuid.UUID) (wallet.Wallet, error) {
	w, err := l.ledger.Wallet(ctx, id)
	if f := l.happens; f != nil {
		l.happens = nil
		f()
	}
	return w, err
}

// Who was told 202 of a creation finds the wallet at every moment: also when creation and
// first operation are committed between the look at the ledger and that at Redis.
func TestAWalletIsFoundWhileItsCreationIsApplied(t *testing.T) {
	for name, read := range map[string]func(*Cache) reading{
		"cached": func(c *Cache) reading { return c.Wallet },
		"fresh":  func(c *Cache) reading { return c.Fresh },
	} {
		redis, id := embeddedtest.Miniredis(t), uuid.New()
		l := &meanwhile{ledger: newLedger()}
		cfg := testConfig(redis.Addr(), nil)
		cfg.Ledger = l
		c := opened(t, cfg)
		_ = c.PutMaybeStale(t.Context(), wallet.Wallet{ID: id})
		l.happens = func() { c.Announce(t.Context(), wallet.Committed{Wallets: []wallet.Wallet{l.commit(id)}}) }
		if w, err := read(c)(t.Context(), id, 0); err != nil || w.Sequence != 1 {
			t.Errorf("%s: %+v, %v", name, w, err)
		}
	}
}

// What a read of the ledger brings that was under way while the process stood still is not put as the newest where Redis has nothing
// any more.
func TestALateReadDoesNotPutWhatIsOldByNow(t *testing.T) {
	redis, now, id := embeddedtest.Miniredis(t), &clock{now: time.Unix(1_700_000_000, 0)}, uuid.New()
	l := &meanwhile{ledger: newLedger(at(id, 4))}
	cfg := testConfig(redis.Addr(), nil)
	cfg.Ledger, cfg.Now = l, now.Now
	c := opened(t, cfg)
	l.happens = func() {
		_ = c.Put(t.Context(), l.commit(id))
		redis.Del(keyPrefix + id.String())
		now.advance(lateFill + time.Second)
	}
	_, _ = c.Wallet(t.Context(), id, 0)
	if w, err := c.Wallet(t.Context(), id, 0); err != nil || w.Sequence != 5 {
		t.Errorf("%+v, %v", w, err)
	}
}

// Nor if Redis has lost everything while the ledger was read: what one replica has read is
// older by then than what another has committed, and put for nothing.
func TestWhatWasReadBeforeRedisLostEverythingIsNotPutAsTheNewest(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		id, redis := uuid.New(), client(t, address)
		l := &meanwhile{ledger: newLedger(at(id, 4))}
		cfg := testConfig(address, nil)
		cfg.Ledger = l
		c, other := opened(t, cfg), opened(t, testConfig(address, nil))
		for _, read := range []reading{c.Wallet, c.Fresh} {
			l.happens = func() {
				committed := wallet.Committed{Wallets: []wallet.Wallet{l.commit(id)}}
				other.Announce(t.Context(), committed)
				if err := redis.Do(t.Context(), redis.B().Flushall().Build()).Error(); err != nil {
					t.Error(err)
				}
				other.Announce(t.Context(), wallet.Committed{Wallets: []wallet.Wallet{at(uuid.New(), 1)}}) // Redis is marked anew
			}
			if _, err := read(t.Context(), id, 0); err != nil {
				t.Error(err)
			}
			for range 2 { // the first of them fills it
				reads := l.asked()
				if w, err := c.Wallet(t.Context(), id, 0); err != nil || w != l.wallets[id] {
					t.Errorf("%+v, %v after %d reads", w, err, reads)
				}
			}
			if got := stored(t, redis, id); got != l.wallets[id].Sequence {
				t.Errorf("Redis has %d", got)
			}
			_ = redis.Do(t.Context(), redis.B().Del().Key(keyPrefix+id.String()).Build())
		}
	})
}

// A ledger that is slower than Redis may be is read once and not each time.
func TestASlowLedgerFillsTheCache(t *testing.T) {
	redis, now, id := embeddedtest.Miniredis(t), &clock{now: time.Unix(1_700_000_000, 0)}, uuid.New()
	l := &meanwhile{ledger: newLedger(at(id, 4))}
	cfg := testConfig(redis.Addr(), nil)
	cfg.Ledger, cfg.Now, cfg.Timeout = l, now.Now, time.Second
	c := opened(t, cfg)
	for range 3 {
		l.happens = func() { now.advance(2 * time.Second) }
		if w, err := c.Wallet(t.Context(), id, 0); err != nil || w.Sequence != 4 {
			t.Fatalf("%+v, %v", w, err)
		}
	}
	if n := l.asked(); n != 1 {
		t.Errorf("%d reads of the ledger", n)
	}
}
