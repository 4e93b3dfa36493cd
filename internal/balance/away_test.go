package balance

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// slack is what a bounded call may take beyond its bound on a busy machine.
const slack = 3 * time.Second

// took returns how long f takes.
func took(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

func TestRedisThatComesLateIsFilledFromTheLedger(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	w := at(uuid.New(), 3)
	l := newLedger(w)
	c := running(t, testConfig(address, l))
	repairing(t, c)
	if err := c.Put(t.Context(), w); err == nil || c.Known(t.Context(), w.ID) {
		t.Errorf("put without Redis: %v", err)
	}
	if got, err := c.Wallet(t.Context(), w.ID, 3); err != nil || got != w {
		t.Errorf("without Redis: %+v, %v", got, err)
	}
	redis := embeddedtest.Miniredis(t)
	redis.Close()
	if err := redis.StartAddr(address); err != nil {
		t.Fatal(err)
	}
	up(t, c)
	eventually(t, "repaired", func() bool { return c.Dirty() == 0 })
	direct := client(t, address)
	if got := stored(t, direct, w.ID); got != -1 {
		t.Errorf("Redis has %d, which may not be the newest by now", got)
	}
	if got, err := c.Wallet(t.Context(), w.ID, 3); err != nil || got != w || stored(t, direct, w.ID) != 3 {
		t.Errorf("read: %+v, %v; Redis has %d", got, err, stored(t, direct, w.ID))
	}
}

// A restart empties Redis: there is nothing to repair, and it is filled by what is read.
func TestKilledRedisCostsTheCacheOnlyAndComesBackEmpty(t *testing.T) {
	redis := embeddedtest.Redis(t)
	old, meanwhile := at(uuid.New(), 3), at(uuid.New(), 8)
	l := newLedger(old, meanwhile)
	cfg := testConfig(redis.Addr(), l)
	cfg.Timeout = time.Second
	c := opened(t, cfg)
	repairing(t, c)
	if err := c.Put(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	down := c.Down()
	redis.Kill()
	if d := took(func() { c.Announce(t.Context(), wallet.Committed{Wallets: []wallet.Wallet{meanwhile}}) }); d > c.config.Timeout+slack {
		t.Errorf("the put took %s", d)
	}
	<-down
	for _, w := range []wallet.Wallet{old, meanwhile} {
		if got, err := c.Wallet(t.Context(), w.ID, w.Sequence); err != nil || got != w {
			t.Errorf("while Redis is dead: %+v, %v", got, err)
		}
	}
	if err := redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	up(t, c)
	eventually(t, "repaired", func() bool { return c.Dirty() == 0 })
	// Redis has lost the script too, and the client may have a connection left that broke:
	// a read is right at once, what it puts may have to wait for another read.
	direct := client(t, redis.Addr())
	for _, w := range []wallet.Wallet{old, meanwhile} {
		eventually(t, "filled by a read", func() bool {
			if got, err := c.Wallet(t.Context(), w.ID, w.Sequence); err != nil || got != w {
				t.Fatalf("afterwards: %+v, %v", got, err)
			}
			return stored(t, direct, w.ID) == w.Sequence
		})
	}
}

// unwatched is opened, with nobody probing any more: what the breaker says is what
// calls have found.
func unwatched(t *testing.T, cfg Config) *Cache {
	t.Helper()
	c := Open(cfg)
	t.Cleanup(c.Close)
	for {
		ctx, cancel := context.WithCancel(context.Background())
		var probing sync.WaitGroup
		probing.Go(func() { c.Breaker.Run(ctx) })
		up(t, c)
		cancel()
		probing.Wait()
		if c.Err() == nil { // else a probe was under way when it ended
			return c
		}
	}
}

func TestPausedRedisCostsOneTimeoutAndThenNothing(t *testing.T) {
	redis := embeddedtest.Redis(t)
	defer redis.Resume()
	w := at(uuid.New(), 3)
	cfg := testConfig(redis.Addr(), newLedger(w))
	cfg.Timeout = 50 * time.Millisecond
	for name, call := range map[string]func(c *Cache){
		"read":  func(c *Cache) { _, _ = c.Wallet(t.Context(), w.ID, 0) },
		"put":   func(c *Cache) { _ = c.Put(t.Context(), w) },
		"known": func(c *Cache) { c.Known(t.Context(), w.ID) },
	} {
		// On a busy machine a call may take long for another reason, but not each time.
		fastest := patience
		for range 3 {
			c := unwatched(t, cfg)
			redis.Pause()
			fastest = min(fastest, took(func() { call(c) }))
			if c.Err() == nil {
				t.Fatalf("%s: Redis is not known to be down", name)
			}
			const calls = 200
			if d := took(func() {
				for range calls {
					call(c)
				}
			}); d > calls*cfg.Timeout/2 {
				t.Errorf("%s: %d calls took %s", name, calls, d)
			}
			redis.Resume()
		}
		if fastest < cfg.Timeout || fastest > connectTimeout/2 {
			t.Errorf("%s: took %s", name, fastest)
		}
	}
}

func TestPausedRedisBoundsCallsThatAreUnderWayTogether(t *testing.T) {
	redis := embeddedtest.Redis(t)
	cfg := testConfig(redis.Addr(), newLedger())
	cfg.Timeout = time.Second
	c := opened(t, cfg)
	redis.Pause()
	defer redis.Resume()
	d := took(func() {
		var calls sync.WaitGroup
		for range 100 {
			calls.Go(func() { _ = c.Put(t.Context(), at(uuid.New(), 1)) })
		}
		calls.Wait()
	})
	if d > cfg.Timeout+slack || c.Dirty() != 100 {
		t.Errorf("took %s, %d dirty", d, c.Dirty())
	}
	redis.Resume()
	up(t, c)
}

// Connecting to a hung server may take long; nobody else waits for it.
func TestRedisThatIsPausedFromTheStartHoldsNobodyUp(t *testing.T) {
	redis := embeddedtest.Redis(t)
	redis.Pause()
	defer redis.Resume()
	w := at(uuid.New(), 3)
	cfg := testConfig(redis.Addr(), newLedger(w))
	cfg.Timeout = time.Second
	c := running(t, cfg)
	d := took(func() {
		for range 50 {
			if got, err := c.Wallet(t.Context(), w.ID, 0); err != nil || got != w {
				t.Fatalf("%+v, %v", got, err)
			}
		}
	})
	if d > slack {
		t.Errorf("took %s", d)
	}
	redis.Resume()
	up(t, c)
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	for name, fault := range map[string]func(t *testing.T){
		"up":     func(*testing.T) {},
		"paused": func(t *testing.T) { embeddedtest.Redis(t).Pause() },
		"killed": func(t *testing.T) { embeddedtest.Redis(t).Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			redis := embeddedtest.Redis(t)
			before := goleak.IgnoreCurrent()
			cfg := testConfig(redis.Addr(), newLedger())
			cfg.Timeout = time.Second
			c := Open(cfg)
			ctx, cancel := context.WithCancel(context.Background())
			var running sync.WaitGroup
			running.Go(func() { c.Run(ctx, func([]wallet.Operation) {}) })
			eventually(t, "subscribed", c.Listening)
			fault(t)
			_ = c.Put(ctx, at(uuid.New(), 1))
			d := took(func() {
				cancel()
				running.Wait()
				c.Close()
			})
			if d > 2*connectTimeout+slack {
				t.Errorf("closing took %s", d)
			}
			eventually(t, "nothing runs on", func() bool { return goleak.Find(before) == nil })
			redis.Resume()
			if name != "killed" {
				direct := client(t, redis.Addr())
				eventually(t, "no connection is left", func() bool {
					list, err := direct.Do(t.Context(), direct.B().ClientList().Build()).ToString()
					return err == nil && !strings.Contains(list, "name=walletd")
				})
			}
			if err := redis.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Who has no time left says nothing about Redis.
func TestACallerWithoutTimeOpensNothing(t *testing.T) {
	server := embeddedtest.Miniredis(t)
	c := opened(t, testConfig(server.Addr(), newLedger()))
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	w := wallet.Wallet{ID: uuid.New(), State: wallet.State{Balance: 1, Sequence: 1}, UpdatedAt: time.Now()}
	if err := c.PutMaybeStale(late, w); err == nil {
		t.Error("renewed")
	}
	c.Known(late, w.ID)
	if err := c.Err(); err != nil {
		t.Errorf("Redis is said to be down: %v", err)
	}
}

// A connection that broke is not a Redis that is away: the next announcement goes by a new
// one, and nobody reads something old meanwhile.
func TestABrokenConnectionLosesNoAnnouncement(t *testing.T) {
	address := embeddedtest.Redis(t).Addr()
	l, id := newLedger(), uuid.New()
	c, redis := opened(t, testConfig(address, l)), client(t, address)
	for range 20 {
		up(t, c)
		if err := redis.Do(t.Context(), redis.B().Arbitrary("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Build()).Error(); err != nil {
			t.Fatal(err)
		}
		w := l.commit(id)
		c.Announce(t.Context(), wallet.Committed{Wallets: []wallet.Wallet{w}})
		if n := stored(t, redis, id); n != w.Sequence || c.Dirty() > 0 {
			t.Fatalf("Redis has %d, the ledger %d", n, w.Sequence)
		}
	}
}

// A Redis that answers and takes no balances is down for all replicas: what one cannot put
// there the others do not read.
func TestARedisThatTakesNoBalancesIsNotRead(t *testing.T) {
	address := embeddedtest.Redis(t).Addr()
	l, id := newLedger(), uuid.New()
	owner, other := opened(t, testConfig(address, l)), opened(t, testConfig(address, l))
	_ = owner.Put(t.Context(), l.commit(id))
	bound(t, address, "1")
	defer bound(t, address, "0") // others may have this server next
	w := l.commit(id)
	owner.Announce(t.Context(), wallet.Committed{Wallets: []wallet.Wallet{w}})
	eventually(t, "the other replica has found out", func() bool { return other.Err() != nil })
	if got, err := other.Wallet(t.Context(), id, 0); err != nil || got != w {
		t.Errorf("%+v, %v, the ledger has %+v", got, err, w)
	}
}

// bound sets how many bytes Redis may hold; 0 is any number.
func bound(t *testing.T, address, bytes string) {
	t.Helper()
	redis := client(t, address)
	if err := redis.Do(context.Background(), redis.B().ConfigSet().ParameterValue().ParameterValue("maxmemory", bytes).Build()).Error(); err != nil {
		t.Fatal(err)
	}
}
