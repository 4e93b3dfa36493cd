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

// Put caches balances as the ledger has them now, each only if it is newer than what
// is there. A balance that could not be put is remembered: this replica serves that
// wallet from the ledger until it is repaired.
func (c *Cache) Put(ctx context.Context, wallets ...wallet.Wallet) error {
	return c.put(ctx, "", wallets, nil, nil)
}

// PutMade caches wallets that requests without a key have made, and whose creations are
// journaled: they exist, and are empty until something else is told of them.
func (c *Cache) PutMade(ctx context.Context, wallets ...wallet.Wallet) error {
	notes := slices.Clone(wallets)
	for i := range notes {
		notes[i].State = wallet.State{Sequence: existing, Balance: made}
	}
	return c.put(ctx, "", notes, nil, nil)
}

// Renew is Put of balances that the ledger has had, and which may not be the newest. They
// replace older ones. Where there is none only the sequence is noted: the next read asks
// the ledger, and what is put then must be as new. Of a creation, sequence 0, it is noted
// that the wallet exists.
func (c *Cache) Renew(ctx context.Context, wallets ...wallet.Wallet) error {
	return c.put(ctx, "", nil, wallets, nil)
}

// put sends the balances, the current ones and those that may have been passed, and the
// messages with them: one round trip, as a rule. Unless since is empty it is the mark that
// Redis had before they were read: if it has another by now, no balance counts as current.
func (c *Cache) put(ctx context.Context, since string, current, passed []wallet.Wallet, messages []message) error {
	wallets := slices.Concat(current, passed)
	if len(wallets)+len(messages) == 0 {
		return nil
	}
	client, err := c.ready()
	if err == nil {
		within, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		err = repeated(within, func() error { return c.send(within, client, since, wallets, len(current), messages) })
		if err != nil {
			c.failed(ctx, err)
		}
	}
	if err != nil {
		c.dirty.add(wallets, c.Now().Add(c.TTL))
	}
	return err
}

// send runs the script, always in full: so there is nothing that Redis could have
// lost. The first currentCount balances are as the ledger has them now, the others as it
// has had them. The messages go with the last.
func (c *Cache) send(ctx context.Context, client rueidis.Client, since string, wallets []wallet.Wallet, currentCount int, messages []message) error {
	for len(wallets) > putWallets {
		if err := client.Do(ctx, c.putCommand(client, since, wallets[:putWallets], currentCount, nil)).Error(); err != nil {
			return err
		}
		wallets, currentCount = wallets[putWallets:], max(0, currentCount-putWallets)
	}
	mark, err := client.Do(ctx, c.putCommand(client, since, wallets, currentCount, messages)).ToString()
	if err == nil {
		c.mark.Store(&mark)
	}
	return err
}

func (c *Cache) putCommand(client rueidis.Client, since string, wallets []wallet.Wallet, currentCount int, messages []message) rueidis.Completed {
	keys, args := make([]string, len(wallets)+1), make([]string, 0, 5+2*(len(wallets)+len(messages)))
	keys[len(wallets)] = markKey
	args = append(args, strconv.FormatInt(c.TTL.Milliseconds(), 10), strconv.FormatInt(existsFor.Milliseconds(), 10), strconv.Itoa(currentCount),
		since, strconv.FormatUint(rand.Uint64(), 36)) //nolint:gosec // not a secret
	for i, w := range wallets {
		keys[i] = keyPrefix + w.ID.String()
		args = append(args, strconv.FormatInt(w.Sequence, 10), format(w))
	}
	for _, m := range messages {
		args = append(args, m.channel, m.body)
	}
	return client.B().Eval().Script(putIfNewer).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build()
}
