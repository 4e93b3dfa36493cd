package balance

import (
	"context"
	"encoding/json"
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

// Announce puts the balances that a commit has made and tells the replicas that
// accepted its operations; both are one round trip. Without Redis the balances
// are remembered for repair, and the replicas find the outcomes in the ledger.
func (c *Cache) Announce(ctx context.Context, done wallet.Committed) {
	_ = c.put(ctx, done.Wallets, c.messages(done))
}

// messages sorts the results of other replicas by who accepted them.
func (c *Cache) messages(done wallet.Committed) []message {
	var others map[uuid.UUID][]wallet.Operation
	for i := range done.Results {
		if r := &done.Results[i]; r.Replica != c.Replica && r.Replica != uuid.Nil {
			if others == nil {
				others = map[uuid.UUID][]wallet.Operation{}
			}
			others[r.Replica] = append(others[r.Replica], r.Operation)
		}
	}
	messages := make([]message, 0, len(others))
	for replica, ops := range others {
		// Operations are plain values: they always encode.
		body, _ := json.Marshal(notice{done.Partition, done.Next, ops})
		messages = append(messages, message{channelPrefix + replica.String(), rueidis.BinaryString(body)})
	}
	return messages
}

// notice is a message's body. Replicas of different versions must understand each
// other's: members may be added, never given another meaning.
type notice struct {
	Partition  int32              `json:"partition"`
	Next       int64              `json:"next"`
	Operations []wallet.Operation `json:"operations"`
}

const subscribeAgain = 500 * time.Millisecond

// Subscribe passes on what other replicas announce to this one, until ctx ends.
// Messages are lost while Redis is away: they are a short cut, never the only way.
func (c *Cache) Subscribe(ctx context.Context, deliver func(partition int32, next int64, ops []wallet.Operation)) {
	for ctx.Err() == nil {
		if client, err := c.ready(); err == nil {
			err = client.Receive(ctx, client.B().Subscribe().Channel(channelPrefix+c.Replica.String()).Build(), func(m rueidis.PubSubMessage) {
				var n notice
				if err := json.Unmarshal([]byte(m.Message), &n); err != nil {
					c.Log.Error("announcement does not decode", "error", err)
					return
				}
				deliver(n.Partition, n.Next, n.Operations)
			})
			if err != nil && ctx.Err() == nil {
				c.Log.Warn("announcements interrupted", "error", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(subscribeAgain):
		}
	}
}
