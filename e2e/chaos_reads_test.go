//go:build chaos

package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

const (
	readers   = 4
	readPause = 15 * time.Millisecond // of a reader, between two reads
)

// onlookers read balances at every replica, all the while: never less than was asked
// for with minSequence, and, while Redis is up, never less than somebody was told
// before the read began.
type onlookers struct {
	balancer *balancer
	ids      []uuid.UUID
	told     sync.Map // uuid.UUID → *atomic.Int64, the highest sequence of an answer
	reads    atomic.Int64
	stopped  chan struct{}
	done     sync.WaitGroup

	mu    sync.Mutex
	stale []stale  // plain reads that were older than what was told
	wrong []string // reads that nothing excuses
}

// stale is a plain read that was older than what was told before.
type stale struct {
	by   string
	at   time.Time
	told int64
	got  answer
}

func (s stale) String() string {
	return fmt.Sprintf("%s at %s: told sequence %d, a plain read then answered %v", s.by, s.at.Format("15:04:05.000"), s.told, s.got)
}

// onlook starts the readers.
func onlook(b *balancer, ids []uuid.UUID, random *rand.Rand) *onlookers {
	o := &onlookers{balancer: b, ids: ids, stopped: make(chan struct{})}
	for n := range readers {
		draw := rand.New(rand.NewPCG(random.Uint64(), 0))
		o.done.Go(func() {
			for turn := n; !closed(o.stopped); turn++ {
				o.look(turn, draw)
				elapse(readPause)
			}
		})
	}
	return o
}

func (o *onlookers) stop() { close(o.stopped); o.done.Wait() }

// note takes in what was told.
func (o *onlookers) note(x *send) {
	if x.answer.err != nil || x.answer.code != http.StatusOK {
		return
	}
	told := o.highest(x.wallet)
	for sequence := value(x.answer.doc.Sequence); ; {
		if now := told.Load(); now >= sequence || told.CompareAndSwap(now, sequence) {
			return
		}
	}
}

func (o *onlookers) highest(id uuid.UUID) *atomic.Int64 {
	n, ok := o.told.Load(id)
	if !ok {
		n, _ = o.told.LoadOrStore(id, new(atomic.Int64))
	}
	return n.(*atomic.Int64)
}

// look reads one wallet at one replica: plainly, and with the sequence that was told.
func (o *onlookers) look(turn int, random *rand.Rand) {
	r := o.balancer.replicas[o.balancer.pick(turn)]
	id := o.ids[random.IntN(len(o.ids))]
	told, at := o.highest(id).Load(), time.Now()
	if a := read(r, walletPath(id)); a.err == nil && a.code == http.StatusOK && value(a.doc.Sequence) < told {
		o.mu.Lock()
		o.stale = append(o.stale, stale{r.incarnation(), at, told, a})
		o.mu.Unlock()
	}
	a := read(r, fmt.Sprintf("%s?minSequence=%d", walletPath(id), told))
	if a.err == nil && (a.code == http.StatusOK && value(a.doc.Sequence) < told ||
		a.code != http.StatusOK && a.code != http.StatusConflict && a.code != http.StatusServiceUnavailable) {
		o.mu.Lock()
		o.wrong = append(o.wrong, fmt.Sprintf("minSequence=%d at %s: %v", told, r.incarnation(), a))
		o.mu.Unlock()
	}
	o.reads.Add(2)
}

// read is a GET that does not wait longer than a balancer's client.
func read(r *replica, path string, headers ...string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), tryTimeout)
	defer cancel()
	return r.doCtx(ctx, http.MethodGet, path, nil, headers...)
}
