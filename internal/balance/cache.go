// Package balance answers what a wallet holds: from Redis, which keeps the newest
// balance that anybody has put there, else from the ledger. All use of Redis is
// here, also the messages by which the owner of a partition tells other replicas
// what became of their operations.
package balance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/rueidis"

	"github.com/walletd/walletd/internal/breaker"
	"github.com/walletd/walletd/internal/wallet"
)

// Ledger is where balances come from.
type Ledger interface {
	Wallet(ctx context.Context, id uuid.UUID) (wallet.Wallet, error)
}

// Config says where the cache is.
type Config struct {
	Address, Username, Password string
	TLS                         *tls.Config // nil: without

	Timeout  time.Duration // of one call; a slower Redis is one that is down
	TTL      time.Duration // how long a balance may be stale when a put was lost for good
	MaxDirty int           // wallets remembered for repair; beyond it the cache is not believed for a TTL

	Replica uuid.UUID
	Ledger  Ledger
	Log     *slog.Logger
	Now     func() time.Time
}

// Cache is the balance cache over the ledger. Safe for concurrent use. Redis may
// be absent at any time.
type Cache struct {
	*breaker.Breaker
	config   Config
	clientMu sync.Mutex
	client   rueidis.Client // nil until Redis first answered
	dirty    dirty
	mark     atomic.Pointer[string] // what Redis was last marked with; nil until it has told

	listening atomic.Bool // subscribed to announcements
}

const (
	keyPrefix      = "walletd:balance:"
	channelPrefix  = "walletd:results:"
	probeKey       = "walletd:probe"
	markKey        = "walletd:mark"
	probeInterval  = 500 * time.Millisecond
	connectTimeout = time.Second
)

// Open prepares a cache. It does not connect.
func Open(cfg Config) *Cache {
	c := &Cache{config: cfg, dirty: dirty{wallets: map[uuid.UUID]wallet.Wallet{}, most: cfg.MaxDirty}}
	c.Breaker = breaker.New(breaker.Config{Name: "Redis", Probe: c.probe, Interval: probeInterval, Timeout: cfg.Timeout, Log: cfg.Log})
	return c
}

// Run looks whether Redis is there, repairs what could not be put, and delivers what other
// replicas announce to this one, until ctx ends.
func (c *Cache) Run(ctx context.Context, deliver func(ops []wallet.Operation)) {
	var running sync.WaitGroup
	running.Go(func() { c.Breaker.Run(ctx) })
	running.Go(func() { c.repair(ctx) })
	running.Go(func() { c.subscribe(ctx, deliver) })
	running.Wait()
}

// Close closes the connections.
func (c *Cache) Close() {
	c.clientMu.Lock()
	defer c.clientMu.Unlock()
	if c.client != nil {
		c.client.Close()
		c.client = nil
	}
}

// connected returns the client, connecting for the first time if need be: from
// then on the client connects again by itself.
func (c *Cache) connected() (rueidis.Client, error) {
	c.clientMu.Lock()
	defer c.clientMu.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	client, err := c.connect()
	if err != nil {
		return nil, err
	}
	c.client = client
	return client, nil
}

func (c *Cache) connect() (rueidis.Client, error) {
	opt := rueidis.ClientOption{
		InitAddress: []string{c.config.Address}, TLSConfig: c.config.TLS, Username: c.config.Username, Password: c.config.Password, ClientName: "walletd",
		ForceSingleClient: true, DisableCache: true, DisableRetry: true, ConnWriteTimeout: connectTimeout,
		PipelineMultiplex: -1, // one connection: where one is broken, the others would fail one call after the other
	}
	opt.Dialer.Timeout = connectTimeout
	return rueidis.NewClient(opt)
}

// ready returns the client unless Redis is down.
func (c *Cache) ready() (rueidis.Client, error) {
	if err := c.Err(); err != nil {
		return nil, fmt.Errorf("the balance cache is down: %w", err)
	}
	return c.connected()
}

// probe writes: a Redis that answers and takes no balances, full or read-only, is down, for
// what one replica cannot put there the others must not read. And it learns the mark.
func (c *Cache) probe(ctx context.Context) error {
	client, err := c.connected()
	if err != nil {
		return err
	}
	if err := client.Do(ctx, client.B().Set().Key(probeKey).Value("").Px(time.Minute).Build()).Error(); err != nil {
		return err
	}
	return c.send(ctx, client, update{})
}

// repeated makes a call a second time if Redis has not answered the first: perhaps only
// the connection was broken, and the next one is new.
func repeated(ctx context.Context, call func() error) error {
	err := call()
	if _, answered := rueidis.IsRedisErr(err); err == nil || answered || ctx.Err() != nil {
		return err
	}
	return call()
}

// get returns what Redis has of a wallet; found is false if it has nothing.
func (c *Cache) get(ctx context.Context, id uuid.UUID) (w wallet.Wallet, found bool, err error) {
	client, err := c.ready()
	if err != nil {
		return w, false, err
	}
	within, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	var text string
	err = repeated(within, func() (err error) {
		text, err = client.Do(within, client.B().Get().Key(keyPrefix+id.String()).Build()).ToString()
		return err
	})
	switch {
	case rueidis.IsRedisNil(err):
		return w, false, nil
	case isWrongType(err): // somebody else's: it is replaced by the next put
		return w, false, err
	case err != nil:
		c.failed(ctx, err)
		return w, false, err
	}
	w, err = parse(id, text)
	return w, err == nil, err
}

func isWrongType(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(e.Error(), "WRONGTYPE")
}

// failed opens the breaker, unless it was the caller who went away, or had no time left.
func (c *Cache) failed(caller context.Context, err error) {
	if caller.Err() == nil && !errors.Is(err, context.Canceled) {
		c.Fail(err)
	}
}
