package balance

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// refused puts while Redis refuses everything, and returns when it answers again.
func refused(t *testing.T, c *Cache, redis *miniredis.Miniredis, wallets ...wallet.Wallet) {
	t.Helper()
	redis.SetError("LOADING no commands now")
	for _, w := range wallets {
		if err := c.Put(t.Context(), w); err == nil {
			t.Fatal("the put did not fail")
		}
	}
	redis.SetError("")
	up(t, c)
}

func TestFailedPutIsRepairedBeforeTheCacheIsBelievedAgain(t *testing.T) {
	redis, id := embeddedtest.Miniredis(t), uuid.New()
	l := newLedger()
	c := opened(t, testConfig(redis.Addr(), l))
	if err := c.Put(t.Context(), l.commit(id)); err != nil {
		t.Fatal(err)
	}
	newer := l.commit(id)
	refused(t, c, redis, newer)
	if got := stored(t, client(t, redis.Addr()), id); got != 1 || c.Dirty() != 1 {
		t.Fatalf("Redis has %d, %d dirty", got, c.Dirty())
	}
	for reads := range 3 {
		if w, err := c.Wallet(t.Context(), id, 0); err != nil || w != newer || l.asked() != reads+1 {
			t.Fatalf("%+v, %v, %d reads of the ledger", w, err, l.asked())
		}
	}
	if w, ok := c.Cached(t.Context(), id); ok {
		t.Errorf("cached: %+v", w)
	}
	l.fail(errLedger) // what Redis has is not believed for want of a better one either
	if w, err := c.Wallet(t.Context(), id, 0); !errors.Is(err, errLedger) {
		t.Fatalf("%+v, %v", w, err)
	}
	repairing(t, c)
	eventually(t, "repaired", func() bool { return c.Dirty() == 0 })
	if w, err := c.Wallet(t.Context(), id, 0); err != nil || w != newer {
		t.Errorf("after the repair: %+v, %v", w, err)
	}
}

func TestRepairPutsTheNewestOfSeveralFailedPuts(t *testing.T) {
	redis, id := embeddedtest.Miniredis(t), uuid.New()
	c := opened(t, testConfig(redis.Addr(), newLedger()))
	if err := c.Put(t.Context(), at(id, 1)); err != nil {
		t.Fatal(err)
	}
	refused(t, c, redis, at(id, 2), at(id, 4), at(id, 3))
	repairing(t, c)
	eventually(t, "repaired", func() bool { return c.Dirty() == 0 })
	if got := stored(t, client(t, redis.Addr()), id); got != 4 {
		t.Errorf("Redis has %d", got)
	}
}

// Redis may have lost the wallet, which others may have moved on: what this replica
// knows, or an operation shows, may be old, and where there is nothing to replace the
// ledger knows better.
func TestABalanceThatMayBeOldIsNotPutWhereThereIsNone(t *testing.T) {
	id := uuid.New()
	passed := at(id, 2)
	for name, put := range map[string]func(*testing.T, *Cache, *miniredis.Miniredis){
		"a repair": func(t *testing.T, c *Cache, redis *miniredis.Miniredis) {
			refused(t, c, redis, passed)
			repairing(t, c)
			eventually(t, "repaired", func() bool { return c.Dirty() == 0 })
		},
		"an outcome's": func(t *testing.T, c *Cache, _ *miniredis.Miniredis) {
			if err := c.PutMaybeStale(t.Context(), passed); err != nil {
				t.Fatal(err)
			}
		},
		"a repeat's, beside another": func(t *testing.T, c *Cache, redis *miniredis.Miniredis) {
			other := at(uuid.New(), 5)
			c.Announce(t.Context(), wallet.Committed{Wallets: []wallet.Wallet{other}, MaybeStale: []wallet.Wallet{passed}})
			if got := stored(t, client(t, redis.Addr()), other.ID); got != 5 {
				t.Errorf("the other is at %d", got)
			}
		},
		"an outcome's, where only its existence is known": func(t *testing.T, c *Cache, _ *miniredis.Miniredis) {
			if err := errors.Join(c.PutMaybeStale(t.Context(), at(id, 0)), c.PutMaybeStale(t.Context(), passed)); err != nil {
				t.Fatal(err)
			}
		},
		"an older one's, which is late": func(t *testing.T, c *Cache, redis *miniredis.Miniredis) {
			if err := errors.Join(c.PutMaybeStale(t.Context(), passed), c.Put(t.Context(), at(id, 1))); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			redis := embeddedtest.Miniredis(t)
			c := opened(t, testConfig(redis.Addr(), newLedger(at(id, 9))))
			put(t, c, redis)
			if !c.Known(t.Context(), id) {
				t.Error("that the wallet exists is not known")
			}
			if w, err := c.Wallet(t.Context(), id, 0); err != nil || w.Sequence != 9 {
				t.Errorf("%+v, %v, the ledger is at 9", w, err)
			}
		})
	}
}

// A creation that is not in the ledger yet: the cache alone tells other replicas of the
// wallet, and it could not be put.
func TestARepairSpreadsThatAWalletExists(t *testing.T) {
	redis, id := embeddedtest.Miniredis(t), uuid.New()
	c := opened(t, testConfig(redis.Addr(), newLedger()))
	refused(t, c, redis, wallet.Wallet{ID: id})
	repairing(t, c)
	eventually(t, "repaired", func() bool { return c.Dirty() == 0 })
	if other := opened(t, testConfig(redis.Addr(), newLedger())); !other.Known(t.Context(), id) {
		t.Error("another replica does not know the wallet")
	}
}

// What failed while an older balance was under repair still has to be repaired.
// That a wallet was just made, and is empty, is not repaired: something may have come after,
// and may be lost with the Redis that had it.
func TestARepairDoesNotSayThatAWalletIsEmpty(t *testing.T) {
	for name, c := range map[string]struct {
		lost func(redis *miniredis.Miniredis)
	}{
		"what came after could not be put": {func(redis *miniredis.Miniredis) { redis.SetError("LOADING") }},
		"what came after is lost":          {(*miniredis.Miniredis).FlushAll},
	} {
		t.Run(name, func(t *testing.T) {
			redis, id := embeddedtest.Miniredis(t), uuid.New()
			l := newLedger()
			maker, owner, other := opened(t, testConfig(redis.Addr(), l)), opened(t, testConfig(redis.Addr(), l)), opened(t, testConfig(redis.Addr(), l))
			redis.SetError("LOADING")
			_ = maker.PutMade(t.Context(), wallet.Wallet{ID: id, UpdatedAt: time.Now()})
			redis.SetError("")
			up(t, owner)
			c.lost(redis)
			w := l.commit(id)
			owner.Announce(t.Context(), wallet.Committed{Wallets: []wallet.Wallet{w}})
			c.lost(redis)
			redis.SetError("")
			up(t, maker)
			up(t, other)
			repairing(t, maker)
			eventually(t, "it is repaired", func() bool { return maker.Dirty() == 0 })
			for _, reader := range []*Cache{maker, other} {
				if got, err := reader.Wallet(t.Context(), id, 0); err != nil || got != w {
					t.Errorf("%+v, %v, the ledger has %+v", got, err, w)
				}
			}
		})
	}
}

func TestRepairForgetsOnlyWhatItHasPut(t *testing.T) {
	d, id := dirty{wallets: map[uuid.UUID]wallet.Wallet{}, most: 10}, uuid.New()
	d.add([]wallet.Wallet{at(id, 1)}, time.Time{})
	under := d.some(10)
	d.add([]wallet.Wallet{at(id, 2)}, time.Time{})
	d.repaired(under)
	if !d.has(id, time.Time{}) {
		t.Error("sequence 2 is forgotten")
	}
	d.repaired(d.some(10))
	if d.has(id, time.Time{}) {
		t.Error("sequence 2 stays")
	}
}

func TestRepairOfManyWalletsEnds(t *testing.T) {
	redis := embeddedtest.Miniredis(t)
	c := opened(t, testConfig(redis.Addr(), newLedger()))
	wallets := make([]wallet.Wallet, 2*maxRepaired+1)
	for i := range wallets {
		wallets[i] = at(uuid.New(), 1)
	}
	if err := c.Put(t.Context(), wallets...); err != nil {
		t.Fatal(err)
	}
	for i := range wallets {
		wallets[i] = at(wallets[i].ID, 2)
	}
	redis.SetError("LOADING")
	if c.Put(t.Context(), wallets...) == nil || c.Dirty() != len(wallets) {
		t.Fatalf("%d dirty", c.Dirty())
	}
	redis.SetError("")
	up(t, c)
	repairing(t, c)
	eventually(t, "repaired", func() bool { return c.Dirty() == 0 })
	direct := client(t, redis.Addr())
	for _, w := range wallets {
		if got := stored(t, direct, w.ID); got != 2 {
			t.Fatalf("Redis has %d", got)
		}
	}
}

func TestTooManyFailedPutsMakeTheWholeCacheUnbelievedForATTL(t *testing.T) {
	redis, now := embeddedtest.Miniredis(t), &clock{now: time.UnixMicro(1_700_000_000_000_000)}
	l, clean := newLedger(), uuid.New()
	cfg := testConfig(redis.Addr(), l)
	cfg.MaxDirty, cfg.Now = 2, now.Now
	c := opened(t, cfg)
	if err := c.Put(t.Context(), l.commit(clean)); err != nil {
		t.Fatal(err)
	}
	read := func(want int) {
		t.Helper()
		before := l.asked()
		if w, err := c.Wallet(t.Context(), clean, 0); err != nil || w.Sequence != 1 || l.asked()-before != want {
			t.Errorf("%+v, %v, %d reads of the ledger, want %d", w, err, l.asked()-before, want)
		}
	}
	refused(t, c, redis, at(uuid.New(), 1), at(uuid.New(), 1))
	read(0) // two are remembered: the others are believed
	refused(t, c, redis, at(uuid.New(), 1))
	if c.Dirty() > cfg.MaxDirty {
		t.Errorf("%d are remembered", c.Dirty())
	}
	read(1)
	now.advance(cfg.TTL - time.Nanosecond)
	read(1)
	now.advance(time.Nanosecond) // what Redis had when it was too much has expired
	read(0)
}

func TestDirtyIsBoundedWhateverFails(t *testing.T) {
	d, r := dirty{wallets: map[uuid.UUID]wallet.Wallet{}, most: 8}, random(t)
	ids := make([]uuid.UUID, 20)
	for i := range ids {
		ids[i] = uuid.New()
	}
	newest := map[uuid.UUID]int64{}
	for range 2_000 {
		w := at(ids[r.IntN(len(ids))], r.Int64N(100))
		newest[w.ID] = max(newest[w.ID], w.Sequence)
		d.add([]wallet.Wallet{w}, time.UnixMicro(1))
		if len(d.wallets) > d.most {
			t.Fatalf("%d are remembered", len(d.wallets))
		}
		for id := range newest { // every failed put is remembered, or nothing is believed
			if !d.has(id, time.UnixMicro(0)) {
				t.Fatal("a failed put is forgotten and the cache believed")
			}
		}
	}
}

func TestRepairTriesNothingWhileRedisIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Open(testConfig("127.0.0.1:1", newLedger())) // nobody probes: it stays down
		_ = c.Put(t.Context(), at(uuid.New(), 1))
		ctx, cancel := context.WithTimeout(t.Context(), 10*repairEvery)
		defer cancel()
		c.repair(ctx)
		if c.client != nil || c.Dirty() != 1 {
			t.Errorf("connected: %t, %d dirty", c.client != nil, c.Dirty())
		}
	})
}
