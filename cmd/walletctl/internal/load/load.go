// Package load puts load on wallets of a running walletd and then proves, from
// the wallets' whole histories, that what each request was told is what happened.
package load

import (
	"time"

	"github.com/google/uuid"
)

// Bounds. An operation costs about 150 bytes of memory until the end: its record, and
// the index by operation id while its wallet's history is read.
const (
	MaxOperations = 2_000_000 // of one run: 300 MB
	maxReceipts   = 1000      // answers of 202 whose Location is followed
	maxFaults     = 20        // shown of each kind; all are counted
	maxCodes      = 32        // different answers told apart
	maxCreating   = 16        // wallets created at once
	maxAmount     = 1000      // minor units, of a deposit
	minDrainPoll  = 20 * time.Millisecond
	maxDrainPoll  = time.Second
	maxLatency    = 5 * time.Minute // longer ones are shown as this
	latencyDigits = 3
)

// Config says what load, and for how long.
type Config struct {
	URL           string
	Rate          float64       // requests a second, open loop; 0: closed loop
	Bulk          int           // operations of each request; 0: one, at the endpoint for one
	Connections   int           // of the closed loop, one request at a time each
	Duration      time.Duration // of the sending
	Wallets       int           // new ones
	IDs           []uuid.UUID   // instead: these, which exist
	Zipf          float64       // above 1: the k-th wallet gets a share as k^-Zipf; 0: the requests go round the wallets
	Reads         bool          // of the balance, instead of operations
	WithdrawShare float64       // 0 … 1
	Prefer        string        // the header of every request; empty: none
	Blind         bool          // only the statuses of the answers are read: nothing can be verified
	Keys          bool          // send an Idempotency-Key with every request
	MaxInFlight   int           // of the open loop: what is due beyond it is not sent, and counted
	Timeout       time.Duration // of a request
	Drain         time.Duration // how long accepted operations may take to get their outcome after the sending
	Seed          uint64        // of types and amounts
}

// parallel is how many requests are sent at once at the most.
func (c Config) parallel() int {
	if c.Rate > 0 {
		return c.MaxInFlight
	}
	return c.Connections
}

// each is how many operations a request has.
func (c Config) each() int { return max(1, c.Bulk) }

// Planned returns how many operations a run sends, or 0 if only its end tells.
func (c Config) Planned() int64 {
	if c.Rate == 0 {
		return 0
	}
	return int64(c.Rate*c.Duration.Seconds()) * int64(c.each())
}

// target is one wallet under load.
type target struct {
	id     uuid.UUID
	prefix []byte // of the body of a request for one operation, up to the type
	path   string // of bulks
}

func newTarget(id uuid.UUID) target {
	return target{id: id, prefix: []byte(`{"walletId":"` + id.String() + `","operationType":"`),
		path: "/api/v1/wallets/" + id.String() + "/operations"}
}
