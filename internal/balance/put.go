package balance

import (
	"context"
	_ "embed" // put_if_newer.lua
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/walletd/walletd/internal/wallet"
)

//go:embed put_if_newer.lua
var luaSource string

// putIfNewer replaces balances, each only by one with a higher sequence, whoever
// comes late: the write path, the fill path, another replica. Then it publishes the
// messages. It is sent with each put, so without comments and indentation.
var putIfNewer = regexp.MustCompile(`(?m)^\s+| *-- .*$`).ReplaceAllString(luaSource, "")

// putWallets bounds the balances of one command: Redis does nothing else meanwhile.
const putWallets = 500

// update is what Redis is told in one go.
type update struct {
	since      string          // the mark that Redis had before current was read; "" if that does not matter
	current    []wallet.Wallet // as the ledger has them now
	maybeStale []wallet.Wallet // as it has had them: they may not be the newest
	messages   []message       // for other replicas
}

// cut takes n balances off. The messages stay, for the last command.
func (u *update) cut(n int) update {
	k := min(n, len(u.current))
	part := update{since: u.since, current: u.current[:k], maybeStale: u.maybeStale[:n-k]}
	u.current, u.maybeStale = u.current[k:], u.maybeStale[n-k:]
	return part
}

func (u *update) balances() int { return len(u.current) + len(u.maybeStale) }

// Put caches balances as the ledger has them now, each only if it is newer than what
// is there. A balance that could not be put is remembered: this replica serves that
// wallet from the ledger until it is repaired.
func (c *Cache) Put(ctx context.Context, wallets ...wallet.Wallet) error {
	return c.put(ctx, update{current: wallets})
}

// PutMade caches wallets that requests without a key have made, and whose creations are
// journaled: they exist, and are empty until something else is told of them.
func (c *Cache) PutMade(ctx context.Context, wallets ...wallet.Wallet) error {
	notes := slices.Clone(wallets)
	for i := range notes {
		notes[i].State = wallet.State{Sequence: existsNote, Balance: madeNote}
	}
	return c.put(ctx, update{current: notes})
}

// PutMaybeStale is Put of balances that the ledger has had, and which may not be the newest. They
// replace older ones. Where there is none only the sequence is noted: the next read asks
// the ledger, and what is put then must be as new. Of a creation, sequence 0, it is noted
// that the wallet exists.
func (c *Cache) PutMaybeStale(ctx context.Context, wallets ...wallet.Wallet) error {
	return c.put(ctx, update{maybeStale: wallets})
}

// put tells Redis: one round trip, as a rule. What it could not put is dirty.
func (c *Cache) put(ctx context.Context, u update) error {
	if u.balances()+len(u.messages) == 0 {
		return nil
	}
	client, err := c.ready()
	if err == nil {
		within, cancel := context.WithTimeout(ctx, c.config.Timeout)
		defer cancel()
		err = repeated(within, func() error { return c.send(within, client, u) })
		if err != nil {
			c.failed(ctx, err)
		}
	}
	if err != nil {
		c.dirty.add(slices.Concat(u.current, u.maybeStale), c.config.Now().Add(c.config.TTL))
	}
	return err
}

// send runs the script, always sent in full, so that it need not be in Redis. The messages go
// with the last of the balances. If Redis no longer has the mark u.since, none of them
// counts as current.
func (c *Cache) send(ctx context.Context, client rueidis.Client, u update) error {
	for u.balances() > putWallets {
		if err := client.Do(ctx, c.command(client, u.cut(putWallets))).Error(); err != nil {
			return err
		}
	}
	mark, err := client.Do(ctx, c.command(client, u)).ToString()
	if err == nil {
		c.mark.Store(&mark)
	}
	return err
}

// command is the script with the update's balances and messages.
func (c *Cache) command(client rueidis.Client, u update) rueidis.Completed {
	n := u.balances()
	keys, args := make([]string, 0, n+1), make([]string, 0, 5+2*(n+len(u.messages)))
	args = append(args, strconv.FormatInt(c.config.TTL.Milliseconds(), 10), strconv.FormatInt(existsFor.Milliseconds(), 10), strconv.Itoa(len(u.current)),
		u.since, strconv.FormatUint(rand.Uint64(), 36)) //nolint:gosec // not a secret
	for _, wallets := range [...][]wallet.Wallet{u.current, u.maybeStale} {
		for _, w := range wallets {
			keys = append(keys, keyPrefix+w.ID.String())
			args = append(args, strconv.FormatInt(w.Sequence, 10), format(w))
		}
	}
	for _, m := range u.messages {
		args = append(args, m.channel, m.body)
	}
	keys = append(keys, markKey)
	return client.B().Eval().Script(putIfNewer).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build()
}
