package balance

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/rueidis"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// Waiting is the same in all packages.
var eventually = embeddedtest.Eventually

const patience = embeddedtest.Patience

var errLedger = errors.New("connection refused")

// ledger is what stands below the cache: wallets whose sequences only grow.
type ledger struct {
	mu      sync.Mutex
	wallets map[uuid.UUID]wallet.Wallet
	reads   int
	err     error
}

func newLedger(wallets ...wallet.Wallet) *ledger {
	l := &ledger{wallets: map[uuid.UUID]wallet.Wallet{}}
	for _, w := range wallets {
		l.wallets[w.ID] = w
	}
	return l
}

func (l *ledger) Wallet(_ context.Context, id uuid.UUID) (wallet.Wallet, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	if l.err != nil {
		return wallet.Wallet{}, l.err
	}
	w, ok := l.wallets[id]
	if !ok {
		return w, &wallet.Error{Code: wallet.CodeWalletNotFound}
	}
	return w, nil
}

// commit applies one operation and returns the wallet after it.
func (l *ledger) commit(id uuid.UUID) wallet.Wallet {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := at(id, l.wallets[id].Sequence+1)
	l.wallets[id] = w
	return w
}

func (l *ledger) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads
}

func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// at is a wallet at a sequence, from which all else of it follows.
func at(id uuid.UUID, sequence int64) wallet.Wallet {
	return wallet.Wallet{ID: id, State: wallet.State{Sequence: sequence, Balance: wallet.Amount(10*sequence) % (wallet.MaxAmount + 1)}, UpdatedAt: time.UnixMicro(1_700_000_000_000_000 + sequence).UTC()}
}

// clock is a time that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// testConfig has a timeout that no busy machine reaches; tests of it set their own.
func testConfig(address string, l *ledger) Config {
	return Config{
		Address: address, Timeout: patience, TTL: time.Minute, MaxDirty: 100_000,
		Replica: uuid.New(), Ledger: l, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}
}

// running opens a cache and probes Redis until the test ends. Nothing repairs.
func running(t *testing.T, cfg Config) *Cache {
	t.Helper()
	c := Open(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var probing sync.WaitGroup
	probing.Go(func() { c.Breaker.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		probing.Wait()
		c.Close()
	})
	return c
}

// opened is running, once Redis has answered.
func opened(t *testing.T, cfg Config) *Cache {
	t.Helper()
	c := running(t, cfg)
	up(t, c)
	return c
}

func up(t *testing.T, c *Cache) {
	t.Helper()
	eventually(t, "Redis is up", func() bool { return c.Err() == nil })
}

// repairing repairs until the test ends.
func repairing(t *testing.T, c *Cache) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var repairs sync.WaitGroup
	repairs.Go(func() { c.repair(ctx) })
	t.Cleanup(func() { cancel(); repairs.Wait() })
}

// client is a Redis client of the test's own.
func client(t *testing.T, address string) rueidis.Client {
	t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{address}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// stored returns the sequence of the balance that Redis has of a wallet; -1 if it has none.
func stored(t *testing.T, redis rueidis.Client, id uuid.UUID) int64 {
	t.Helper()
	text, err := redis.Do(t.Context(), redis.B().Get().Key(keyPrefix+id.String()).Build()).ToString()
	if rueidis.IsRedisNil(err) {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := parse(id, text)
	if err != nil {
		t.Fatal(err)
	}
	if onlyExists(w) {
		return -1
	}
	if w != at(id, w.Sequence) {
		t.Fatalf("Redis has %+v, which nobody put", w)
	}
	return w.Sequence
}

// onBoth runs a test on an in-process Redis and on a real server.
func onBoth(t *testing.T, test func(t *testing.T, address string)) {
	t.Run("miniredis", func(t *testing.T) { test(t, embeddedtest.Miniredis(t).Addr()) })
	t.Run("redis-server", func(t *testing.T) { test(t, embeddedtest.Redis(t).Addr()) })
}

// random returns a generator whose seed is printed; WALLETD_TEST_SEED replays it.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("WALLETD_TEST_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("WALLETD_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
