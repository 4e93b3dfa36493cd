package balance

import (
	"context"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// applied is an operation with every member set, as the ledger has it.
func applied(walletID uuid.UUID, sequence int64) wallet.Operation {
	return wallet.Operation{
		ID: uuid.New(), WalletID: walletID, Type: wallet.Withdraw, Amount: wallet.MaxAmount, AcceptedAt: time.UnixMicro(1_700_000_000_000_001).UTC(),
		Receipt: wallet.Receipt{Partition: 3, Offset: 1 << 40}, Status: wallet.Failed, Reason: wallet.InsufficientFunds,
		Origin: wallet.Direct, Sequence: sequence, BalanceAfter: 17, AppliedAt: time.UnixMicro(1_700_000_000_000_002).UTC(),
	}
}

// subscribed passes on what is announced to c, until the test ends.
func subscribed(t *testing.T, c *Cache) <-chan []wallet.Operation {
	t.Helper()
	delivered := make(chan []wallet.Operation, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { c.subscribe(ctx, func(ops []wallet.Operation) { delivered <- ops }) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return delivered
}

// next returns what is delivered next.
func next(t *testing.T, delivered <-chan []wallet.Operation) []wallet.Operation {
	t.Helper()
	select {
	case ops := <-delivered:
		return ops
	case <-time.After(patience):
		t.Fatal("nothing was delivered")
		return nil
	}
}

// nothing fails if something was delivered.
func nothing(t *testing.T, delivered <-chan []wallet.Operation) {
	t.Helper()
	select {
	case ops := <-delivered:
		t.Errorf("delivered too: %+v", ops)
	default:
	}
}

func TestAnnouncementsReachTheReplicaThatAccepted(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		owner, other, third := opened(t, testConfig(address, newLedger())), opened(t, testConfig(address, newLedger())), opened(t, testConfig(address, newLedger()))
		toOwner, toOther, toThird := subscribed(t, owner), subscribed(t, other), subscribed(t, third)
		eventually(t, "all listen", func() bool { return owner.Listening() && other.Listening() && third.Listening() })
		id := uuid.New()
		ops := []wallet.Operation{applied(id, 1), applied(id, 2), applied(id, 3), applied(id, 4), applied(id, 5)}
		done := wallet.Committed{Wallets: []wallet.Wallet{at(id, 5)}}
		for i, replica := range []uuid.UUID{other.config.Replica, owner.config.Replica, third.config.Replica, other.config.Replica, uuid.Nil} {
			done.Results = append(done.Results, wallet.Result{Operation: ops[i], Replica: replica})
		}
		owner.Announce(t.Context(), done)
		if got := next(t, toOther); !reflect.DeepEqual(got, []wallet.Operation{ops[0], ops[3]}) {
			t.Errorf("delivered %+v", got)
		}
		if got := next(t, toThird); !reflect.DeepEqual(got, []wallet.Operation{ops[2]}) {
			t.Errorf("delivered %+v", got)
		}
		owner.Announce(t.Context(), done) // once more: had the first brought more, it would be here by now
		next(t, toOther)
		next(t, toThird)
		nothing(t, toOther)
		nothing(t, toThird)
		nothing(t, toOwner)
	})
}

// Invariant 7: a plain GET after the answer shows what was answered, on every
// replica, also when Redis has lost the script, as by a restart.
func TestBalanceIsInRedisBeforeTheOutcomeIsAnnounced(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		l, id := newLedger(), uuid.New()
		owner, other := opened(t, testConfig(address, l)), opened(t, testConfig(address, l))
		delivered := subscribed(t, other)
		eventually(t, "listening", other.Listening)
		redis := client(t, address)
		for range 200 {
			w := l.commit(id)
			if err := redis.Do(t.Context(), redis.B().ScriptFlush().Build()).Error(); err != nil {
				t.Fatal(err)
			}
			owner.Announce(t.Context(), wallet.Committed{Wallets: []wallet.Wallet{w}, Results: []wallet.Result{{Operation: applied(id, w.Sequence), Replica: other.config.Replica}}})
			if told := next(t, delivered)[0].Sequence; told != w.Sequence {
				t.Fatalf("told %d instead of %d: a try that put nothing was announced", told, w.Sequence)
			}
			if got := stored(t, redis, id); got < w.Sequence {
				t.Fatalf("told %d, and Redis has %d", w.Sequence, got)
			}
		}
	})
}

// An operation of a wallet that does not exist has an outcome and no balance.
func TestAnOutcomeWithoutABalanceIsAnnounced(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		owner, other := opened(t, testConfig(address, newLedger())), opened(t, testConfig(address, newLedger()))
		delivered := subscribed(t, other)
		eventually(t, "listening", other.Listening)
		op := applied(uuid.New(), 0)
		owner.Announce(t.Context(), wallet.Committed{Results: []wallet.Result{{Operation: op, Replica: other.config.Replica}}})
		if got := next(t, delivered); len(got) != 1 || got[0] != op {
			t.Errorf("delivered %+v", got)
		}
	})
}

// A Redis that is full, or read-only, refuses balances and would publish messages.
func TestWhatRedisRefusesToKeepIsNotAnnounced(t *testing.T) {
	address := embeddedtest.Redis(t).Addr()
	l, id := newLedger(), uuid.New()
	owner, other := opened(t, testConfig(address, l)), opened(t, testConfig(address, l))
	delivered := subscribed(t, other)
	eventually(t, "listening", other.Listening)
	announce := func() wallet.Wallet {
		w := l.commit(id)
		owner.Announce(t.Context(), wallet.Committed{Wallets: []wallet.Wallet{w}, Results: []wallet.Result{{Operation: applied(id, w.Sequence), Replica: other.config.Replica}}})
		return w
	}
	bound(t, address, "1")
	defer bound(t, address, "0") // others may have this server next
	announce()
	if owner.Dirty() != 1 {
		t.Fatalf("%d balances were refused", owner.Dirty())
	}
	bound(t, address, "0")
	up(t, owner)
	w := announce()
	if told := next(t, delivered)[0].Sequence; told != w.Sequence {
		t.Errorf("sequence %d was told, which Redis had refused", told)
	}
}

func TestListeningMeansThatTheNextAnnouncementArrives(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		owner := opened(t, testConfig(address, newLedger()))
		for range 20 {
			other := opened(t, testConfig(address, newLedger()))
			delivered := subscribed(t, other)
			for !other.Listening() { // no pause: the moment it says so counts
				runtime.Gosched()
			}
			owner.Announce(t.Context(), wallet.Committed{Results: []wallet.Result{{Operation: applied(uuid.New(), 1), Replica: other.config.Replica}}})
			next(t, delivered)
		}
	})
}

func TestAnnouncementsArriveAgainAfterRedisWasAway(t *testing.T) {
	redis := embeddedtest.Redis(t)
	cfg := testConfig(redis.Addr(), newLedger())
	cfg.Timeout = 2 * time.Second
	owner := opened(t, cfg)
	cfg.Replica = uuid.New()
	other := opened(t, cfg)
	delivered := subscribed(t, other)
	for _, away := range []func(){
		func() {},
		func() { redis.Kill(); expectDown(t, other); restart(t, other, redis.Restart) },
		func() { redis.Pause(); expectDown(t, other); redis.Resume() },
	} {
		away()
		up(t, owner)
		eventually(t, "listening", other.Listening)
		op := applied(uuid.New(), 1)
		eventually(t, "an announcement arrives", func() bool { // the owner may have a connection left that broke
			owner.Announce(t.Context(), wallet.Committed{Results: []wallet.Result{{Operation: op, Replica: other.config.Replica}}})
			select {
			case got := <-delivered:
				return reflect.DeepEqual(got, []wallet.Operation{op})
			case <-time.After(100 * time.Millisecond):
				return false
			}
		})
	}
}

// expectDown waits until the cache has noticed, and does not claim to listen then.
func expectDown(t *testing.T, c *Cache) {
	t.Helper()
	select {
	case <-c.Down():
	case <-time.After(patience):
		t.Fatal("still up")
	}
	if c.Listening() {
		t.Error("listening to a Redis that is down")
	}
}

func restart(t *testing.T, c *Cache, start func(context.Context) error) {
	t.Helper()
	if err := start(t.Context()); err != nil {
		t.Fatal(err)
	}
	up(t, c)
}

func TestAnnouncementWithoutRedisIsRememberedForRepair(t *testing.T) {
	c := Open(testConfig("127.0.0.1:1", newLedger())) // nobody listens there
	defer c.Close()
	w := at(uuid.New(), 4)
	c.Announce(t.Context(), wallet.Committed{Wallets: []wallet.Wallet{w}, Results: []wallet.Result{{Operation: applied(w.ID, 4), Replica: uuid.New()}}})
	if c.Dirty() != 1 {
		t.Errorf("%d dirty", c.Dirty())
	}
}

func TestForeignMessageIsPassedOver(t *testing.T) {
	redis := embeddedtest.Miniredis(t)
	c := opened(t, testConfig(redis.Addr(), newLedger()))
	delivered := subscribed(t, c)
	eventually(t, "listening", c.Listening)
	channel := channelPrefix + c.config.Replica.String()
	op := applied(uuid.New(), 9)
	redis.Publish(channel, `{"operations":[{"Sequence":8}]}`)
	redis.Publish(channel, string(appendOperation([]byte{messageVersion}, &op)))
	if got := next(t, delivered); len(got) != 1 || got[0].Sequence != 9 {
		t.Errorf("delivered %+v", got)
	}
}
