package balance

import (
	"context"
	"slices"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/walletd/walletd/internal/wallet"
)

// putIfNewer replaces balances, each only by one with a higher sequence, whoever
// comes late: the write path, the fill path, another replica. Of the first keys, as
// many as ARGV[2], those that have no balance get theirs, if it is not older than what
// was noted there; of the others only the sequence is noted, which what comes late has
// to reach (onlyExists). A balance expires after ARGV[1] milliseconds. Then it publishes the
// messages: if Redis refuses a balance (it is full, or read-only) nobody is told.
const putIfNewer = `for i, key in ipairs(KEYS) do
local old = string.match(redis.call('GET', key) or '', '^-?%d+')
old = old and tonumber(old)
local new, text = tonumber(ARGV[2 * i + 1]), ARGV[2 * i + 2]
if i > tonumber(ARGV[2]) and (not old or old < 0) then
new = -new - 1
text = string.format('%d 0 ', new) .. string.match(text, '%S+$')
end
local set = not old
if old and new >= 0 then
set = new >= (old < 0 and -old - 1 or old + 1)
elseif old and old < 0 then
set = new < old
end
if set then
redis.call('SET', key, text, 'PX', new == -1 and ` + existsMillis + ` or ARGV[1])
end
end
for i = 2 * #KEYS + 3, #ARGV, 2 do
redis.call('PUBLISH', ARGV[i], ARGV[i + 1])
end
return #KEYS`

// existsMillis is how long Redis keeps that a wallet exists of which nothing else is known:
// a day, for the ledger may be away or behind for long.
const existsMillis = "86400000"

// putWallets bounds the balances of one command: Redis does nothing else meanwhile.
const putWallets = 500

// Put caches balances as the ledger has them now, each only if it is newer than what
// is there. A balance that could not be put is remembered: this replica serves that
// wallet from the ledger until it is repaired.
func (c *Cache) Put(ctx context.Context, wallets ...wallet.Wallet) error {
	return c.put(ctx, wallets, nil, nil)
}

// Renew is Put of balances that the ledger has had, and which may not be the newest:
// they replace older ones, and where there is none the ledger is read next, for a
// balance that is not older. Of a creation, sequence 0, it notes that the wallet exists.
func (c *Cache) Renew(ctx context.Context, wallets ...wallet.Wallet) error {
	return c.put(ctx, nil, wallets, nil)
}

// put sends the balances, and the messages with them: one round trip, as a rule.
func (c *Cache) put(ctx context.Context, now, passed []wallet.Wallet, messages []message) error {
	wallets := slices.Concat(now, passed)
	if len(wallets)+len(messages) == 0 {
		return nil
	}
	client, err := c.ready()
	if err == nil {
		within, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		err = c.send(within, client, wallets, len(now), messages)
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
// lost. The first of the balances, so many, are set where there is none. The messages
// go with the last.
func (c *Cache) send(ctx context.Context, client rueidis.Client, wallets []wallet.Wallet, first int, messages []message) error {
	for len(wallets) > putWallets {
		if err := client.Do(ctx, c.putting(client, wallets[:putWallets], first, nil)).Error(); err != nil {
			return err
		}
		wallets, first = wallets[putWallets:], max(0, first-putWallets)
	}
	return client.Do(ctx, c.putting(client, wallets, first, messages)).Error()
}

func (c *Cache) putting(client rueidis.Client, wallets []wallet.Wallet, first int, messages []message) rueidis.Completed {
	keys, args := make([]string, len(wallets)), make([]string, 0, 2+2*(len(wallets)+len(messages)))
	args = append(args, strconv.FormatInt(c.TTL.Milliseconds(), 10), strconv.Itoa(first))
	for i, w := range wallets {
		keys[i] = keyPrefix + w.ID.String()
		args = append(args, strconv.FormatInt(w.Sequence, 10), format(w))
	}
	for _, m := range messages {
		args = append(args, m.channel, m.body)
	}
	return client.B().Eval().Script(putIfNewer).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build()
}
