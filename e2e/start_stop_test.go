package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestStartWithoutAComponent starts walletd for the very first time, and then once
// more, while a component is not there; it comes later.
func TestStartWithoutAComponent(t *testing.T) {
	for _, f := range singleFaults {
		if f.pause {
			continue
		}
		t.Run(f.component, func(t *testing.T) {
			s := newStack(t)
			back := true
			away := func() { f.begin(s); back = false }
			heal := func() {
				if !back {
					f.heal(s)
					back = true
				}
			}
			defer heal()

			away()
			s.add(1)
			r := s.replicas[0]
			eventually(t, "ready without "+f.component, func() bool {
				h, err := r.health()
				return err == nil && h.code == 200 && h.of(f.component) == "down"
			})
			// Without the ledger and without a topic of which the ledger could have told,
			// walletd makes the topic after a while: until then it has nothing to keep a
			// promise with.
			var first uuid.UUID
			began := time.Now()
			eventually(t, "a wallet is made", func() bool {
				a := r.do(http.MethodPost, "/api/v1/wallet/create", nil)
				if a.code == 201 || a.code == 202 {
					first = uuid.MustParse(a.doc.WalletID)
				} else if a.code != 503 || a.header.Get("Retry-After") == "" {
					t.Errorf("create: %v", a)
				}
				return first != uuid.Nil
			})
			t.Logf("first start: a wallet made %s after ready", time.Since(began).Round(time.Millisecond))
			sends := s.use(f, []uuid.UUID{first})
			heal()
			healed := time.Now()
			r.ready()
			t.Logf("first start: ready %s after %s came", time.Since(healed).Round(time.Millisecond), f.component)
			s.auditAll(sends)

			r.terminate()
			away()
			r.start()
			eventually(t, "ready without "+f.component, func() bool { h, err := r.health(); return err == nil && h.code == 200 })
			sends = append(sends, s.use(f, []uuid.UUID{first})...)
			heal()
			healed = time.Now()
			r.ready()
			t.Logf("second start: ready %s after %s came", time.Since(healed).Round(time.Millisecond), f.component)
			s.auditAll(sends)
		})
	}
}

// use puts load on wallets for a moment.
func (s *stack) use(f fault, ids []uuid.UUID) []*send {
	s.t.Helper()
	l := s.start(load{wallets: ids, rate: 100})
	elapse(1500 * time.Millisecond)
	sends := l.stop()
	s.t.Logf("without %s: %s", f.component, summary(sends))
	only(s.t, sends, 200, 202, 422)
	return sends
}

// TestStopWithoutAComponent asks walletd to stop while something hangs: it has to
// end in time all the same.
func TestStopWithoutAComponent(t *testing.T) {
	for _, f := range singleFaults {
		if !f.pause {
			continue // who is gone holds up nobody
		}
		t.Run(f.name, func(t *testing.T) {
			s := newStack(t)
			s.add(1, "WALLETD_SHUTDOWN_TIMEOUT=5s")
			r := s.replicas[0]
			r.ready()
			id := s.wallet()
			l := s.start(load{wallets: []uuid.UUID{id}, rate: 50})
			elapse(300 * time.Millisecond)
			f.begin(s)
			elapse(700 * time.Millisecond)
			sends := l.stop()
			began := time.Now()
			r.terminate()
			took := time.Since(began)
			t.Logf("stopped within %s", took.Round(time.Millisecond))
			if took > 15*time.Second {
				t.Errorf("stopping took %s", took)
			}
			f.heal(s)
			r.start()
			r.ready()
			only(t, sends, 200, 202, 422)
			s.auditAll(sends)
		})
	}
}
