//go:build chaos

package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// readsOf is how many outcomes one is followed by reads of.
const readsOf = 40

// onlookers reads a balance at every replica after its wallet's operation was answered
// with an outcome: never less than was asked for with minSequence, and, while Redis
// is up, never less than was told.
type onlookers struct {
	balancer *balancer
	turn     atomic.Int64
	reads    atomic.Int64

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

// read is a GET that does not wait longer than a balancer's client.
func read(r *replica, path string, headers ...string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), tryTimeout)
	defer cancel()
	return r.doCtx(ctx, http.MethodGet, path, nil, headers...)
}

// look reads after x.
func (o *onlookers) look(x *send) {
	if x.answer.err != nil || x.answer.code != http.StatusOK || o.turn.Add(1)%readsOf != 0 {
		return
	}
	told := value(x.answer.doc.Sequence)
	for i, r := range o.balancer.replicas {
		if o.balancer.out[i].Load() {
			continue
		}
		at := time.Now()
		if a := read(r, walletPath(x.wallet)); a.err == nil && a.code == http.StatusOK && value(a.doc.Sequence) < told {
			o.mu.Lock()
			o.stale = append(o.stale, stale{r.incarnation(), at, told, a})
			o.mu.Unlock()
		}
		a := read(r, fmt.Sprintf("%s?minSequence=%d", walletPath(x.wallet), told))
		if a.err == nil && (a.code == http.StatusOK && value(a.doc.Sequence) < told ||
			a.code != http.StatusOK && a.code != http.StatusConflict && a.code != http.StatusServiceUnavailable) {
			o.mu.Lock()
			o.wrong = append(o.wrong, fmt.Sprintf("minSequence=%d at %s: %v", told, r.incarnation(), a))
			o.mu.Unlock()
		}
		o.reads.Add(2)
	}
}
