package balance

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// dirty are the balances that Redis may have older than it should: a put of them
// failed. If they become too many, none is remembered, and the whole cache is not
// believed until what it held then has expired.
type dirty struct {
	mu      sync.Mutex
	wallets map[uuid.UUID]wallet.Wallet
	most    int
	until   time.Time // nothing in Redis is believed before
}

func (d *dirty) add(wallets []wallet.Wallet, expired time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range wallets {
		if onlyExists(w) {
			w.Balance = 0 // by the time it is put, something may have come after it
		}
		if old, ok := d.wallets[w.ID]; ok && old.Sequence >= w.Sequence {
			continue
		}
		if len(d.wallets) >= d.most {
			clear(d.wallets)
			d.until = expired
		}
		d.wallets[w.ID] = w
	}
}

// has reports whether what Redis has of the wallet may be old.
func (d *dirty) has(id uuid.UUID, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.wallets[id]
	return ok || now.Before(d.until)
}

func (d *dirty) get(id uuid.UUID) (wallet.Wallet, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w, ok := d.wallets[id]
	return w, ok
}

// some returns up to n of them.
func (d *dirty) some(n int) []wallet.Wallet {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]wallet.Wallet, 0, min(n, len(d.wallets)))
	for _, w := range d.wallets {
		if len(out) == n {
			break
		}
		out = append(out, w)
	}
	return out
}

// repaired forgets what was put, unless something newer has failed meanwhile.
func (d *dirty) repaired(wallets []wallet.Wallet) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range wallets {
		if d.wallets[w.ID].Sequence == w.Sequence {
			delete(d.wallets, w.ID)
		}
	}
}

// Dirty returns how many wallets wait for repair.
func (c *Cache) Dirty() int {
	c.dirty.mu.Lock()
	defer c.dirty.mu.Unlock()
	return len(c.dirty.wallets)
}

const (
	repairEvery = 100 * time.Millisecond
	maxRepaired = 1_000
)

// repair renews what could not be put, whenever Redis is up, until ctx ends.
func (c *Cache) repair(ctx context.Context) {
	tick := time.NewTicker(repairEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for c.Err() == nil {
			some := c.dirty.some(maxRepaired)
			if len(some) == 0 || c.PutMaybeStale(ctx, some...) != nil {
				break
			}
			c.dirty.repaired(some)
		}
	}
}
