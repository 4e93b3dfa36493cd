package balance

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/redis/rueidis"

	"github.com/walletd/walletd/internal/wallet"
)

// message tells one replica what became of operations that it accepted.
type message struct {
	channel string
	body    string
}

// Announce puts the balances that a commit has made, renews those that it shows, and
// tells the replicas that accepted its operations, in one round trip. Without Redis the
// balances are remembered for repair, and the replicas find the outcomes in the ledger.
func (c *Cache) Announce(ctx context.Context, done wallet.Committed) {
	_ = c.put(ctx, update{current: done.Wallets, maybeStale: done.MaybeStale, messages: c.messages(done)})
}

// messages sorts the results of other replicas by who accepted them: one message
// each, however many requests a commit has answered.
func (c *Cache) messages(done wallet.Committed) []message {
	bodies := map[uuid.UUID][]byte{}
	for i := range done.Results {
		r := &done.Results[i]
		if r.Replica == c.config.Replica || r.Replica == uuid.Nil {
			continue
		}
		body, ok := bodies[r.Replica]
		if !ok {
			body = append(make([]byte, 0, 1+usualOperationBytes*(len(done.Results)-i)), messageVersion)
		}
		bodies[r.Replica] = appendOperation(body, &r.Operation)
	}
	messages := make([]message, 0, len(bodies))
	for replica, body := range bodies {
		messages = append(messages, message{channelPrefix + replica.String(), rueidis.BinaryString(body)})
	}
	return messages
}

const subscribeAgain = 500 * time.Millisecond

// subscribe passes on what other replicas announce to this one, until ctx ends.
// Messages are lost while Redis is away: they are a short cut, never the only way.
func (c *Cache) subscribe(ctx context.Context, deliver func(ops []wallet.Operation)) {
	for ctx.Err() == nil {
		if err := c.receive(ctx, deliver); err != nil && ctx.Err() == nil {
			c.config.Log.Debug("announcements interrupted", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(subscribeAgain):
		}
	}
}

// receive has a connection of its own: one that is subscribed may serve nothing else.
func (c *Cache) receive(ctx context.Context, deliver func([]wallet.Operation)) error {
	if err := c.Err(); err != nil {
		return err
	}
	client, err := c.connect()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx = rueidis.WithOnSubscriptionHook(ctx, func(s rueidis.PubSubSubscription) { c.listening.Store(s.Kind == "subscribe") })
	defer c.listening.Store(false)
	return client.Receive(ctx, client.B().Subscribe().Channel(channelPrefix+c.config.Replica.String()).Build(), func(m rueidis.PubSubMessage) {
		ops, err := readMessage([]byte(m.Message))
		if err != nil {
			c.config.Log.Error("announcement does not decode", "error", err)
			return
		}
		deliver(ops)
	})
}

// Listening reports whether announcements of other replicas arrive.
func (c *Cache) Listening() bool { return c.listening.Load() && c.Err() == nil }
