//go:build chaos

package e2e_test

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	beat      = 250 * time.Millisecond // what requests are counted by, by when they were sent
	fine      = 500 * time.Millisecond // an outcome by then
	fineShare = 0.99                   // of the requests of a beat, which then is as it should be
	calmBeats = 8                      // in a row
)

// pulse says how the load fares, while it runs.
type pulse struct {
	began time.Time
	mu    sync.Mutex
	beats []struct{ sent, done, fine int }
	ends  []time.Duration // of successful answers
}

func newPulse() *pulse { return &pulse{began: time.Now()} }

// sent counts a request and returns its beat.
func (p *pulse) sent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := int(time.Since(p.began) / beat)
	for len(p.beats) <= at {
		p.beats = append(p.beats, struct{ sent, done, fine int }{})
	}
	p.beats[at].sent++
	return at
}

func (p *pulse) answered(at int, x *send) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, a := &p.beats[at], x.answer
	b.done++
	if a.err != nil || a.code >= http.StatusBadRequest && a.code != http.StatusUnprocessableEntity {
		return
	}
	p.ends = append(p.ends, x.end.Sub(p.began))
	if a.code != http.StatusAccepted && x.end.Sub(x.sent) <= fine {
		b.fine++
	}
}

// calm says whether the beats before the last one, from since on, end with enough fine
// ones, and where those begin.
func (p *pulse) calm(since time.Time) (bool, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := max(0, int(since.Sub(p.began)/beat)+1)
	end := len(p.beats) - int(fine/beat)
	n := end
	for n > first && p.beats[n-1].done == p.beats[n-1].sent && float64(p.beats[n-1].fine) >= fineShare*float64(p.beats[n-1].sent) {
		n--
	}
	return end-n >= calmBeats, p.began.Add(time.Duration(n) * beat)
}

// settle waits until the load is answered as it should be, and returns since when it
// is: later than most after since if it is not.
func (p *pulse) settle(since time.Time, most time.Duration) (from time.Time) {
	if !within(most+calmBeats*beat, func() (is bool) { is, from = p.calm(since); return is }) {
		return time.Now()
	}
	return from
}

// silence is the longest time in which no request was answered with success.
func (p *pulse) silence() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.Sort(p.ends)
	longest := time.Duration(0)
	for i := 1; i < len(p.ends); i++ {
		longest = max(longest, p.ends[i]-p.ends[i-1])
	}
	return longest
}
