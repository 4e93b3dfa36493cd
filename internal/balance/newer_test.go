package balance

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/rueidis"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// Invariant 7: owners of partitions, old and new, put what they have committed, in
// any order; readers put what they have read, late; meanwhile Redis forgets the
// script again and again. Whoever looks at a wallet sees its sequence only grow.
func TestNewerBalanceIsNeverReplacedByAnOlderOne(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		const wallets, writers, puts = 3, 6, 300
		seeds := random(t)
		l, ids := newLedger(), [wallets]uuid.UUID{}
		for i := range ids {
			ids[i] = uuid.New()
			l.commit(ids[i])
		}
		replicas := []*Cache{opened(t, testConfig(address, l)), opened(t, testConfig(address, l))}
		redis := client(t, address)

		ended := make(chan struct{})
		var watching, writing sync.WaitGroup
		var looks atomic.Int64
		for _, id := range ids {
			watching.Go(func() { watch(t, redis, id, ended, &looks) })
		}
		watching.Go(func() { forgetScripts(t, redis, ended) })
		for i := range writers {
			c, r := replicas[i%len(replicas)], rand.New(rand.NewPCG(seeds.Uint64(), 1))
			writing.Go(func() { write(t, c, l, ids[:], r, puts) })
			writing.Go(func() { fill(t, c, ids[:], puts, ended) })
		}
		writing.Wait()
		close(ended)
		watching.Wait()
		for _, id := range ids {
			if got, want := stored(t, redis, id), l.wallets[id].Sequence; got != want {
				t.Errorf("Redis ended at sequence %d, %d was put", got, want)
			}
		}
		if looks.Load() == 0 {
			t.Error("nobody has looked")
		}
	})
}

// write commits, and puts several commits late and in any order.
func write(t *testing.T, c *Cache, l *ledger, ids []uuid.UUID, r *rand.Rand, puts int) {
	var late []wallet.Wallet
	for i := range puts {
		late = append(late, l.commit(ids[r.IntN(len(ids))]))
		if r.IntN(4) > 0 && i < puts-1 {
			continue
		}
		r.Shuffle(len(late), func(i, j int) { late[i], late[j] = late[j], late[i] })
		if err := c.Put(context.Background(), late...); err != nil {
			t.Errorf("put: %v", err)
		}
		late = nil
	}
}

// fill reads past the cache, as a reader does that found nothing there.
func fill(t *testing.T, c *Cache, ids []uuid.UUID, reads int, ended <-chan struct{}) {
	for i := range reads {
		select {
		case <-ended:
			return
		default:
		}
		if _, err := c.Fresh(context.Background(), ids[i%len(ids)], 0); err != nil {
			t.Errorf("read: %v", err)
		}
	}
}

func watch(t *testing.T, redis rueidis.Client, id uuid.UUID, ended <-chan struct{}, looks *atomic.Int64) {
	for last := int64(-1); ; looks.Add(1) {
		select {
		case <-ended:
			return
		default:
		}
		now := stored(t, redis, id)
		if now < last {
			t.Errorf("sequence %d was replaced by %d", last, now)
			return
		}
		last = now
	}
}

func forgetScripts(t *testing.T, redis rueidis.Client, ended <-chan struct{}) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		if err := redis.Do(t.Context(), redis.B().ScriptFlush().Build()).Error(); err != nil {
			t.Errorf("flush: %v", err)
		}
	}
}

func TestPutOfManyWalletsSurvivesAForgottenScript(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		c, redis := opened(t, testConfig(address, newLedger())), client(t, address)
		for range 2 { // the second time Redis had the script and lost it
			if err := redis.Do(t.Context(), redis.B().ScriptFlush().Build()).Error(); err != nil {
				t.Fatal(err)
			}
			wallets := make([]wallet.Wallet, 2*putWallets+1) // of several commands
			for i := range wallets {
				wallets[i] = at(uuid.New(), 7)
			}
			if err := c.Put(t.Context(), wallets...); err != nil || c.Dirty() != 0 || c.Err() != nil {
				t.Fatalf("%v, %d dirty, %v", err, c.Dirty(), c.Err())
			}
			for _, w := range wallets {
				if stored(t, redis, w.ID) != 7 {
					t.Fatal("a wallet was left out")
				}
			}
		}
	})
}

func TestEveryBalanceOfOnePutIsComparedForItself(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		c, redis := opened(t, testConfig(address, newLedger())), client(t, address)
		older, newer, absent, twice := uuid.New(), uuid.New(), uuid.New(), uuid.New()
		for _, put := range [][]wallet.Wallet{
			{at(older, 9), at(newer, 9)},
			{at(older, 8), at(newer, 10), at(absent, 0)},
			{at(twice, 6), at(twice, 5)},
		} {
			if err := c.Put(t.Context(), put...); err != nil {
				t.Fatal(err)
			}
		}
		for id, want := range map[uuid.UUID]int64{older: 9, newer: 10, absent: 0, twice: 6} {
			if got := stored(t, redis, id); got != want {
				t.Errorf("sequence %d, want %d", got, want)
			}
		}
	})
}

// What is noted of a wallet without a balance is compared too: the higher stays.
func TestTheHighestSequenceThatWasSeenStays(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		c := opened(t, testConfig(address, newLedger()))
		puts := map[string]func(w wallet.Wallet) error{
			"put":   func(w wallet.Wallet) error { return c.Put(t.Context(), w) },
			"renew": func(w wallet.Wallet) error { return c.PutMaybeStale(t.Context(), w) },
			"exist": func(w wallet.Wallet) error { return c.PutMaybeStale(t.Context(), at(w.ID, 0)) },
		}
		for steps, want := range map[string]int64{
			"renew 5, put 4": -1, "renew 5, put 5": 5, "renew 5, put 6": 6, "renew 5, renew 4, put 4": -1,
			"renew 5, exist, put 4": -1, "renew 4, renew 5, put 4": -1, "exist, put 0": 0, "renew 0, put 0": 0,
			"put 5, renew 4": 5, "put 5, renew 6": 6, "put 5, exist": 5, "exist, renew 5, put 4": -1,
		} {
			id := uuid.New()
			for step := range strings.SplitSeq(steps, ", ") {
				how, number, _ := strings.Cut(step, " ")
				sequence, _ := strconv.ParseInt(number, 10, 64)
				if err := puts[how](at(id, sequence)); err != nil {
					t.Fatal(err)
				}
			}
			if got := stored(t, client(t, address), id); got != want || !c.Known(t.Context(), id) {
				t.Errorf("%s: Redis has %d, want %d", steps, got, want)
			}
		}
	})
}

// Sequences are compared as numbers, not as text, up to the largest that a wallet reaches.
func TestSequencesAreComparedAsNumbers(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		c, redis := opened(t, testConfig(address, newLedger())), client(t, address)
		for _, pair := range [][2]int64{{9, 10}, {99, 100}, {1<<53 - 2, 1<<53 - 1}} {
			id := uuid.New()
			for _, sequence := range []int64{pair[0], pair[1], pair[0]} {
				if err := c.Put(t.Context(), at(id, sequence)); err != nil {
					t.Fatal(err)
				}
			}
			if got := stored(t, redis, id); got != pair[1] {
				t.Errorf("%d stands, %d was put", got, pair[1])
			}
		}
	})
}

func TestBalancesExpire(t *testing.T) {
	redis := embeddedtest.Miniredis(t)
	c := opened(t, testConfig(redis.Addr(), newLedger()))
	w := at(uuid.New(), 3)
	if err := c.Put(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if ttl := redis.TTL(keyPrefix + w.ID.String()); ttl != c.config.TTL {
		t.Errorf("expires after %s", ttl)
	}
	id := uuid.New()
	if err := c.PutMaybeStale(t.Context(), at(id, 0)); err != nil {
		t.Fatal(err)
	}
	if ttl := redis.TTL(keyPrefix + id.String()); ttl != 24*time.Hour {
		t.Errorf("that a wallet exists expires after %s", ttl)
	}
}

// A foreign value under a wallet's key is neither served nor left standing.
func TestWhatDoesNotDecodeIsReplaced(t *testing.T) {
	redis := embeddedtest.Miniredis(t)
	w := at(uuid.New(), 3)
	l := newLedger(w)
	c := opened(t, testConfig(redis.Addr(), l))
	for _, text := range []string{"", "3", "3 30", "3 30 x", "x 30 40", "-1 30 40", "3 30 40 50", "99 x"} {
		if err := redis.Set(keyPrefix+w.ID.String(), text); err != nil {
			t.Fatal(err)
		}
		reads := l.asked()
		if got, err := c.Wallet(t.Context(), w.ID, 1); err != nil || got != w || l.asked() != reads+1 {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// A key of another type is somebody else's mistake: it costs nobody else's balance, and
// goes.
func TestAKeyOfAnotherTypeIsReplaced(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		bad, good := at(uuid.New(), 3), at(uuid.New(), 3)
		c := opened(t, testConfig(address, newLedger(bad, good)))
		redis := client(t, address)
		push := func() {
			if err := redis.Do(t.Context(), redis.B().Rpush().Key(keyPrefix+bad.ID.String()).Element("x").Build()).Error(); err != nil {
				t.Fatal(err)
			}
		}
		push()
		if w, err := c.Wallet(t.Context(), bad.ID, 0); err != nil || w != bad || c.Err() != nil {
			t.Errorf("%+v, %v; Redis: %v", w, err, c.Err())
		}
		_ = redis.Do(t.Context(), redis.B().Del().Key(keyPrefix+bad.ID.String()).Build())
		push()
		if err := c.Put(t.Context(), bad, good); err != nil || stored(t, redis, bad.ID) != 3 || stored(t, redis, good.ID) != 3 {
			t.Errorf("put: %v, stored %d and %d", err, stored(t, redis, bad.ID), stored(t, redis, good.ID))
		}
	})
}

// An old balance that is replaced by one which may be old as well goes when it would have
// gone: repeats do not keep readers behind for longer than a TTL.
func TestABalanceThatMayBeOldIsNotKeptLonger(t *testing.T) {
	redis, id := embeddedtest.Miniredis(t), uuid.New()
	cfg := testConfig(redis.Addr(), newLedger(at(id, 9)))
	c := opened(t, cfg)
	_ = c.Put(t.Context(), at(id, 4))
	for n := int64(5); n < 9; n++ {
		redis.FastForward(cfg.TTL * 2 / 5)
		c.Announce(t.Context(), wallet.Committed{MaybeStale: []wallet.Wallet{at(id, n)}})
		w, err := c.Wallet(t.Context(), id, 0)
		if past := time.Duration(n-4) * cfg.TTL * 2 / 5; err != nil || past > cfg.TTL && w.Sequence < 9 {
			t.Errorf("%s after it was put: %+v, %v", past, w, err)
		}
	}
}
