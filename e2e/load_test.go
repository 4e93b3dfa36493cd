package e2e_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// send is one operation that was asked for, and its last answer.
type send struct {
	wallet    uuid.UUID
	key       string
	kind      string
	amount    int64
	by        string // the incarnation that gave the answer
	sent, end time.Time
	answer    answer
	first     answer // of a send that was repeated
	repeats   int
}

func (s *send) id() string { return uuid.NewSHA1(s.wallet, []byte(s.key)).String() }

// load is requests at a steady rate, whatever the answers: an open loop.
type load struct {
	wallets []uuid.UUID // the first one gets most
	rate    int         // requests a second
	most    int         // requests under way at once; more are not sent
	repeat  bool        // a send without an answer is repeated with its key until it has one
	dodge   bool        // one whose connection is refused, so that nobody has seen it, goes elsewhere
	headers []string
	to      func(n int) *replica // nil: the stack's replicas in turn
}

// running is a load under way.
type running struct {
	load
	t       testing.TB
	seed    uint64
	stopped chan struct{}
	done    sync.WaitGroup

	mu      sync.Mutex
	sends   []*send
	skipped int
}

// seed is new for each run; E2E_SEED replays one.
func seed(t testing.TB) uint64 {
	n := rand.Uint64N(1 << 32)
	if text := os.Getenv("E2E_SEED"); text != "" {
		n, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("E2E_SEED=%d", n)
	return n
}

// start begins the load.
func (s *stack) start(l load) *running {
	if l.most == 0 {
		l.most = 4000
	}
	if l.to == nil {
		l.to = func(n int) *replica { return s.replicas[n%len(s.replicas)] }
	}
	r := &running{load: l, t: s.t, seed: seed(s.t), stopped: make(chan struct{})}
	r.done.Go(r.run)
	return r
}

func (r *running) run() {
	random := rand.New(rand.NewPCG(r.seed, 0))
	slots := make(chan struct{}, r.most)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for n := 0; ; {
		select {
		case <-r.stopped:
			return
		case now := <-tick.C:
			for ; n < int(now.Sub(began).Seconds()*float64(r.rate)); n++ {
				s, turn := r.draw(random, n), n
				select {
				case slots <- struct{}{}:
					r.done.Go(func() { r.one(s, turn); <-slots })
				default:
					r.mu.Lock()
					r.skipped++
					r.mu.Unlock()
				}
			}
		}
	}
}

func (r *running) draw(random *rand.Rand, n int) *send {
	s := &send{wallet: r.wallets[0], key: fmt.Sprintf("load-%d-%d", r.seed, n), kind: deposit, amount: 1 + random.Int64N(100)}
	if len(r.wallets) > 1 && random.IntN(5) == 0 {
		s.wallet = r.wallets[1+random.IntN(len(r.wallets)-1)]
	}
	if random.IntN(2) == 0 {
		s.kind, s.amount = withdraw, 1+random.Int64N(110)
	}
	return s
}

// one sends s, and again while that is wanted and there is no answer.
func (r *running) one(s *send, n int) {
	headers := append([]string{"Idempotency-Key", s.key}, r.headers...)
	s.sent = time.Now()
	deadline := s.sent.Add(patience)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		to := r.to(n)
		s.by = to.incarnation()
		s.answer = to.submit(s.wallet, s.kind, s.amount, headers...)
		s.end = time.Now()
		if s.repeats == 0 {
			s.first = s.answer
		}
		dodged := r.dodge && errors.Is(s.answer.err, syscall.ECONNREFUSED)
		again := s.answer.err != nil || s.answer.code == http.StatusServiceUnavailable || s.answer.code == http.StatusTooManyRequests
		if !dodged && (!r.repeat || !again) || s.end.After(deadline) {
			break
		}
		s.repeats++
		n++
		elapse(pause)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sends = append(r.sends, s)
}

// stop ends the load and returns what was sent when all of it is answered.
func (r *running) stop() []*send {
	close(r.stopped)
	r.done.Wait()
	if r.skipped > 0 {
		r.t.Errorf("%d requests were not sent, for %d were under way", r.skipped, r.most)
	}
	return r.sends
}

// answered returns how many answers have this status by now.
func (r *running) answered(codes ...int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, s := range r.sends {
		if slices.Contains(codes, s.answer.code) {
			n++
		}
	}
	return n
}

// summary counts answers by status.
func summary(sends []*send) string {
	counts, slowest, repeated := map[string]int{}, &send{}, 0
	for _, s := range sends {
		name := strconv.Itoa(s.answer.code)
		if s.answer.err != nil {
			name = "no answer"
		}
		counts[name]++
		if s.end.Sub(s.sent) > slowest.end.Sub(slowest.sent) {
			slowest = s
		}
		if s.repeats > 0 {
			repeated++
		}
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s: %d", k, counts[k]))
	}
	return fmt.Sprintf("%d requests, %s; repeated %d; slowest %s: %d of %s by %s", len(sends), strings.Join(parts, ", "), repeated,
		slowest.end.Sub(slowest.sent).Round(time.Millisecond), slowest.answer.code, slowest.sent.Format("15:04:05.000"), slowest.by)
}

// only fails the test for every answer of another status, showing a few.
func only(t testing.TB, sends []*send, codes ...int) {
	t.Helper()
	shown := 0
	for _, s := range sends {
		if s.answer.err == nil && slices.Contains(codes, s.answer.code) {
			continue
		}
		if shown++; shown <= 5 {
			t.Errorf("%s %d sent %s, after %s by %s: %v", s.kind, s.amount, s.sent.Format("15:04:05.000"), s.end.Sub(s.sent), s.by, s.answer)
		}
	}
	if shown > 5 {
		t.Errorf("and %d more such answers", shown-5)
	}
}
