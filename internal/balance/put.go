package balance

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/walletd/walletd/internal/wallet"
)

// putIfNewer replaces a balance only by one with a higher sequence, whoever comes
// late: the write path, the fill path, another replica.
const putIfNewer = `local old = redis.call('GET', KEYS[1])
if old and tonumber(string.match(old, '^%d+') or '-1') >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`

// putIfNewerHash is the name that Redis gives to the script.
var putIfNewerHash = func() string {
	sum := sha1.Sum([]byte(putIfNewer))
	return hex.EncodeToString(sum[:])
}()

// Put caches balances, each only if it is newer than what is there. A balance that
// could not be put is remembered: this replica serves that wallet from the ledger
// until it is repaired.
func (c *Cache) Put(ctx context.Context, wallets ...wallet.Wallet) error {
	return c.put(ctx, wallets, nil)
}

// put sends the balances and, in the same round trip, the messages.
func (c *Cache) put(ctx context.Context, wallets []wallet.Wallet, messages []message) error {
	if len(wallets)+len(messages) == 0 {
		return nil
	}
	client, err := c.ready()
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		if err = c.send(ctx, client, wallets, messages, false); noScript(err) {
			err = c.send(ctx, client, wallets, messages, true)
		}
		if err != nil {
			c.failed(err)
		}
	}
	if err != nil {
		c.dirty.add(wallets, c.Now().Add(c.TTL))
	}
	return err
}

// send runs the script for each wallet: in full for the first, so that Redis has
// it, then by its hash. Were it missing, the messages would be out before the
// balances. If scripts are flushed at that very moment, all are sent in full.
func (c *Cache) send(ctx context.Context, client rueidis.Client, wallets []wallet.Wallet, messages []message, full bool) error {
	cmds := make(rueidis.Commands, 0, len(wallets)+len(messages))
	ttl := strconv.FormatInt(c.TTL.Milliseconds(), 10)
	for i, w := range wallets {
		key, sequence := keyPrefix+w.ID.String(), strconv.FormatInt(w.Sequence, 10)
		if full || i == 0 {
			cmds = append(cmds, client.B().Eval().Script(putIfNewer).Numkeys(1).Key(key).Arg(sequence, format(w), ttl).Build())
		} else {
			cmds = append(cmds, client.B().Evalsha().Sha1(putIfNewerHash).Numkeys(1).Key(key).Arg(sequence, format(w), ttl).Build())
		}
	}
	for _, m := range messages {
		cmds = append(cmds, client.B().Publish().Channel(m.channel).Message(m.body).Build())
	}
	for _, r := range client.DoMulti(ctx, cmds...) {
		if err := r.Error(); err != nil {
			return err
		}
	}
	return nil
}

func noScript(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(e.Error(), "NOSCRIPT")
}
