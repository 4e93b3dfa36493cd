package accept

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// counter answers the operations that came through a wallet's gate, in order, at a
// rate, each commit's together.
type counter struct {
	*gates
	id    uuid.UUID
	rate  int           // operations a second
	every time.Duration // a commit

	mu    sync.Mutex
	queue []func()
}

func newCounter(most, rate int, every time.Duration) *counter {
	c := &counter{id: uuid.New(), rate: rate, every: every}
	c.gates = newGates(Limits{WalletOperations: most, Operations: 1 << 30}, &fakeApplier{}, time.Now)
	return c
}

// ask comes once; it returns when to come again, or 0.
func (c *counter) ask(t *testing.T, n int) time.Duration {
	leave, _, err := c.enter(c.id, n)
	if err != nil {
		return problem(t, err, wallet.CodeOverloaded).RetryAfter
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var once sync.Mutex
	left := 0
	for range n {
		c.queue = append(c.queue, func() {
			once.Lock()
			defer once.Unlock()
			if left++; left == n {
				leave()
			}
		})
	}
	return 0
}

func (c *counter) commit() {
	c.mu.Lock()
	n := min(len(c.queue), int(float64(c.rate)*c.every.Seconds()))
	done := c.queue[:n]
	c.queue = c.queue[n:]
	c.mu.Unlock()
	for _, answer := range done {
		answer()
	}
}

func (c *counter) run(stop chan struct{}) {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.commit()
		case <-stop:
			return
		}
	}
}

// told counts operations that were refused and told when to come again.
type told struct{ refused, again int } // again: when they came back

func (a *told) plus(b told) { a.refused += b.refused; a.again += b.again }

// storm has five times the bound come in random bursts, faster than they are
// answered, and those who are refused come back after this part of what they were told.
func storm(t *testing.T, random *rand.Rand, part float64) (sum told) {
	synctest.Test(t, func(t *testing.T) {
		rate := 200 + random.IntN(2000)
		most := rate * (2 + random.IntN(5))
		c := newCounter(most, rate, time.Duration(10+random.IntN(400))*time.Millisecond)
		stop, running := make(chan struct{}), sync.WaitGroup{}
		running.Go(func() { c.run(stop) })
		var mu sync.Mutex
		var clients sync.WaitGroup
		largest := 1 + random.IntN(most/20)
		for sent := 0; sent < 5*most; {
			for range random.IntN(20) {
				n := 1 + random.IntN(largest)
				sent += n
				clients.Go(func() {
					one := c.client(t, n, part)
					mu.Lock()
					defer mu.Unlock()
					sum.plus(one)
				})
			}
			usual := time.Duration(5*largest) * time.Second / time.Duration(5*rate) // of a burst, at five times the rate
			<-time.After(time.Duration(random.Int64N(2*int64(usual) + 1)))
		}
		clients.Wait()
		close(stop)
		running.Wait()
	})
	return sum
}

// client comes again until it is let in.
func (c *counter) client(t *testing.T, n int, part float64) (one told) {
	first := c.ask(t, n)
	if first == 0 {
		return one
	}
	one.refused = n
	for again := first; again > 0; {
		<-time.After(time.Duration(part * float64(again)))
		if again = c.ask(t, n); again > 0 {
			one.again = n
		}
	}
	return one
}

// If everybody comes back when told there is room for nearly everybody; if everybody
// came at half of it, there would not be: what is told is true within a factor of two.
func TestWhoComesBackWhenToldFindsRoom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var punctual, hasty told
	for range 30 {
		punctual.plus(storm(t, random, 1))
		hasty.plus(storm(t, random, 0.5))
	}
	t.Logf("as told: %+v; at half of it: %+v", punctual, hasty)
	if punctual.refused == 0 || punctual.again*5 > punctual.refused {
		t.Error("too many found no room when they were told to come")
	}
	if hasty.again*4 < hasty.refused {
		t.Error("most found room at half of the time: they were told too long a time")
	}
}

func TestRetryAfterIsWhenThereWillBeRoom(t *testing.T) {
	for name, c := range map[string]struct {
		answered int // of 1000 at a bound of 1000, evenly in took
		took     time.Duration
		stall    time.Duration
		refused  int // single ones, before
		n        int
		want     time.Duration
	}{
		"nothing to go by":           {n: 1, took: time.Second, want: retrySoon},
		"nothing for long":           {n: 1, took: 20 * time.Second, want: 20 * time.Second},
		"nothing ever":               {n: 1, took: time.Hour, want: maxRetryAfter},
		"one":                        {answered: 100, took: time.Second, n: 1, want: time.Second},
		"a bulk too large":           {answered: 100, took: time.Second, n: 500, want: 4 * time.Second},
		"others come first":          {answered: 100, took: time.Second, n: 1, refused: 1000, want: 13 * time.Second},
		"too many others come first": {answered: 100, took: time.Second, n: 1, refused: 20_000, want: maxRetryAfter},
		"it is stalled":              {answered: 100, took: time.Second, stall: 9 * time.Second, n: 500, want: 50 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, id := newGates(Limits{WalletOperations: 1000, Operations: 1 << 30}, &fakeApplier{}, time.Now), uuid.New()
				var leaves []func()
				for range 1000 {
					leave, _, err := g.enter(id, 1)
					if err != nil {
						t.Fatal(err)
					}
					leaves = append(leaves, leave)
				}
				for _, leave := range leaves[:c.answered] {
					<-time.After(c.took / time.Duration(c.answered))
					leave()
				}
				if c.answered == 0 {
					<-time.After(c.took)
				}
				<-time.After(c.stall)
				g.shard(id).gates[id].limit = 1000 - c.answered
				for range c.refused {
					_, _, _ = g.enter(id, 1)
				}
				_, _, err := g.enter(id, c.n)
				if got := problem(t, err, wallet.CodeOverloaded).RetryAfter; got < c.want || got > c.want+time.Second+c.want/10 {
					t.Errorf("%s, want %s", got, c.want)
				}
			})
		})
	}
}

// Whatever comes together and whenever it is looked at, and soon after a stall.
func TestAPaceIsTrueWithinAFactorOfTwo(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		every := time.Duration(1+random.IntN(3000)) * time.Millisecond
		lump := 1 + random.IntN(2000)
		now := time.Unix(0, 0)
		p, rate := newPace(now), float64(lump)/every.Seconds()
		stalled := 30 + random.IntN(10)
		warm := now.Add(2*every + paceWindow/2)
		for i := range 60 * int(1+paceWindow/every) {
			if i == stalled*int(1+paceWindow/every) {
				now = now.Add(time.Duration(random.IntN(60)) * time.Second)
				warm = now.Add(2*every + paceWindow/2)
			}
			look := now.Add(time.Duration(random.Int64N(int64(every))))
			if got := p.perSecond(look); look.After(warm) && (got < rate/2 || got > 2*rate) {
				t.Fatalf("%d every %s: %.0f a second, not %.0f, %s after it went on", lump, every, got, rate, look.Sub(warm))
			}
			now = now.Add(every)
			p.add(now, lump)
		}
	}
}
