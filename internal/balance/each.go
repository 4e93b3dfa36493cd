package balance

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/rueidis"

	"github.com/walletd/walletd/internal/wallet"
)

// The bounds of one look at all balances.
const (
	scanKeys    = 1_000
	scanTimeout = 5 * time.Second
)

// Each delivers the cached balances, of all wallets or of the one, in small pages,
// and the wallets whose value does not decode; what is put meanwhile may be left
// out. It asks Redis whatever the breaker says.
func (c *Cache) Each(ctx context.Context, only uuid.UUID, deliver Deliver) error {
	client, err := c.connected()
	if err != nil {
		return err
	}
	if only != uuid.Nil {
		return c.deliver(ctx, client, []string{keyPrefix + only.String()}, deliver)
	}
	for cursor := uint64(0); ; {
		page, err := c.scan(ctx, client, cursor)
		if err == nil && len(page.Elements) > 0 {
			err = c.deliver(ctx, client, page.Elements, deliver)
		}
		if err != nil {
			return err
		}
		if cursor = page.Cursor; cursor == 0 {
			return nil
		}
	}
}

// Deliver takes a page of cached balances.
type Deliver = func(balances []wallet.Wallet, undecodable []uuid.UUID) error

func (c *Cache) scan(ctx context.Context, client rueidis.Client, cursor uint64) (rueidis.ScanEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	page, err := client.Do(ctx, client.B().Scan().Cursor(cursor).Match(keyPrefix+"*").Count(scanKeys).Build()).AsScanEntry()
	if err != nil {
		return page, fmt.Errorf("reading the cache's keys failed: %w", err)
	}
	return page, nil
}

func (c *Cache) deliver(ctx context.Context, client rueidis.Client, keys []string, deliver Deliver) error {
	read, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	values, err := client.Do(read, client.B().Mget().Key(keys...).Build()).ToArray()
	if err != nil {
		return fmt.Errorf("reading the cache's balances failed: %w", err)
	}
	var wallets []wallet.Wallet
	var undecodable []uuid.UUID
	for i, v := range values {
		id, ok := wallet.ParseID(strings.TrimPrefix(keys[i], keyPrefix))
		text, err := v.ToString()
		if !ok || rueidis.IsRedisNil(err) {
			continue // expired since
		}
		w, err := parse(id, text)
		switch {
		case err != nil:
			undecodable = append(undecodable, id)
		case !onlyExists(w):
			wallets = append(wallets, w)
		}
	}
	return deliver(wallets, undecodable)
}
