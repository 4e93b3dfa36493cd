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
	"strconv"
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

	Timeout   time.Duration // of one call; a slower Redis is one that is down
	TTL       time.Duration // how long a balance may be stale when a put was lost for good
	MostDirty int           // wallets remembered for repair; beyond it the cache is not believed for a TTL

	Replica uuid.UUID
	Ledger  Ledger
	Log     *slog.Logger
	Now     func() time.Time
}

// Cache is the balance cache over the ledger. Safe for concurrent use. Redis may
// be absent at any time.
type Cache struct {
	Config
	*breaker.Breaker
	clientMu sync.Mutex
	client   rueidis.Client // nil until Redis first answered
	dirty    dirty

	listening atomic.Bool // subscribed to announcements
}

const (
	keyPrefix      = "walletd:balance:"
	channelPrefix  = "walletd:results:"
	probeInterval  = 500 * time.Millisecond
	connectTimeout = time.Second
)

// errDown is why a call was not made.
var errDown = errors.New("the balance cache is down")

// Open prepares a cache. It does not connect.
func Open(cfg Config) *Cache {
	c := &Cache{Config: cfg, dirty: dirty{wallets: map[uuid.UUID]wallet.Wallet{}, most: cfg.MostDirty}}
	c.Breaker = breaker.New(breaker.Config{Name: "Redis", Probe: c.ping, Interval: probeInterval, Timeout: cfg.Timeout, Log: cfg.Log})
	return c
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
		InitAddress: []string{c.Address}, TLSConfig: c.TLS, Username: c.Username, Password: c.Password, ClientName: "walletd",
		ForceSingleClient: true, DisableCache: true, DisableRetry: true, ConnWriteTimeout: connectTimeout,
	}
	opt.Dialer.Timeout = connectTimeout
	return rueidis.NewClient(opt)
}

// ready returns the client unless Redis is down.
func (c *Cache) ready() (rueidis.Client, error) {
	if err := c.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errDown, err)
	}
	return c.connected()
}

func (c *Cache) ping(ctx context.Context) error {
	client, err := c.connected()
	if err != nil {
		return err
	}
	return client.Do(ctx, client.B().Ping().Build()).Error()
}

// get returns what Redis has of a wallet; found is false if it has nothing.
func (c *Cache) get(ctx context.Context, id uuid.UUID) (w wallet.Wallet, found bool, err error) {
	client, err := c.ready()
	if err != nil {
		return w, false, err
	}
	within, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	text, err := client.Do(within, client.B().Get().Key(keyPrefix+id.String()).Build()).ToString()
	if rueidis.IsRedisNil(err) {
		return w, false, nil
	}
	if err != nil {
		c.failed(ctx, err)
		return w, false, err
	}
	w, err = parse(id, text)
	return w, err == nil, err
}

// failed opens the breaker, unless it was the caller who went away, or had no time left.
func (c *Cache) failed(caller context.Context, err error) {
	if caller.Err() == nil && !errors.Is(err, context.Canceled) {
		c.Fail(err)
	}
}

// format is a balance as Redis keeps it: sequence, balance and time in microseconds.
func format(w wallet.Wallet) string {
	b := make([]byte, 0, 56)
	b = strconv.AppendInt(b, w.Sequence, 10)
	b = strconv.AppendInt(append(b, ' '), int64(w.Balance), 10)
	return string(strconv.AppendInt(append(b, ' '), w.UpdatedAt.UnixMicro(), 10))
}

// parse reads what format writes, and nothing else: a balance that could not be one
// is not served.
func parse(id uuid.UUID, text string) (wallet.Wallet, error) {
	fields := strings.Split(text, " ")
	var n [3]int64
	for i := range n {
		if len(fields) != len(n) {
			return wallet.Wallet{}, fmt.Errorf("cached balance of %s does not decode", id)
		}
		v, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return wallet.Wallet{}, fmt.Errorf("cached balance of %s does not decode: %w", id, err)
		}
		n[i] = v
	}
	w := wallet.Wallet{ID: id, State: wallet.State{Sequence: n[0], Balance: wallet.Amount(n[1])}, UpdatedAt: time.UnixMicro(n[2]).UTC()}
	if w.Balance < 0 || w.Balance > wallet.MaxAmount || format(w) != text {
		return wallet.Wallet{}, fmt.Errorf("cached balance of %s is none: %q", id, text)
	}
	return w, nil
}
