package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
)

// component is one that the tests take away.
type component interface {
	Kill()
	Pause()
	Resume()
	Restart(ctx context.Context) error
}

// fault takes a component away and brings it back.
type fault struct {
	name      string
	component string
	of        func(*stack) component
	pause     bool
}

var singleFaults = []fault{
	{"PostgreSQL killed", "postgres", func(s *stack) component { return s.postgres }, false},
	{"PostgreSQL frozen", "postgres", func(s *stack) component { return s.postgres }, true},
	{"Kafka killed", "kafka", func(s *stack) component { return s.kafka }, false},
	{"Kafka frozen", "kafka", func(s *stack) component { return s.kafka }, true},
	{"Redis killed", "redis", func(s *stack) component { return s.redis }, false},
	{"Redis frozen", "redis", func(s *stack) component { return s.redis }, true},
}

func (f fault) begin(s *stack) {
	s.kafkaWentAway = s.kafkaWentAway || f.component == "kafka"
	if f.pause {
		f.of(s).Pause()
	} else {
		f.of(s).Kill()
	}
}

// heal may be called when the component is back already.
func (f fault) heal(s *stack) {
	s.t.Helper()
	if f.pause {
		f.of(s).Resume()
	} else if err := f.of(s).Restart(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

// phases are the answers by when their request was sent.
func phases(sends []*send, began, healed time.Time) (before, during, after []*send) {
	for _, x := range sends {
		switch {
		case x.sent.Before(began):
			before = append(before, x)
		case x.sent.Before(healed):
			during = append(during, x)
		default:
			after = append(after, x)
		}
	}
	return before, during, after
}

// recovery is when, after healed, the last request was sent that was answered
// without an outcome, or slowly.
func recovery(sends []*send, healed time.Time) time.Duration {
	last := healed
	for _, x := range sends {
		if x.sent.After(last) && (x.answer.err != nil || x.answer.code == http.StatusAccepted || x.end.Sub(x.sent) > 500*time.Millisecond) {
			last = x.sent
		}
	}
	return last.Sub(healed).Round(10 * time.Millisecond)
}

func TestOneComponentAtATime(t *testing.T) {
	for _, f := range singleFaults {
		t.Run(f.name, func(t *testing.T) {
			s := startStack(t, 2)
			back := false
			defer func() {
				if !back {
					f.heal(s)
				}
			}()
			ids := s.wallets(4)
			for _, id := range ids { // known to be there, also to Redis
				expect(t, s.replicas[0].submit(id, deposit, 1000), 200)
			}
			strange := unknownToRedis(s)
			var made uuid.UUID // while PostgreSQL was away
			l := s.start(load{wallets: ids, rate: 250})
			elapse(1200 * time.Millisecond)
			began := time.Now()
			f.begin(s)
			eventually(t, "both replicas say that "+f.component+" is down", func() bool {
				for _, r := range s.replicas {
					h, err := r.health()
					if err != nil || h.of(f.component) != "down" || h.code != 200 {
						return false
					}
				}
				return true
			})
			noticed := time.Since(began)
			elapse(1500 * time.Millisecond)
			for _, r := range s.replicas {
				eventually(t, r.name+" reads a balance", func() bool { return r.get(walletPath(ids[0])).code == 200 })
			}
			if f.component == "postgres" {
				made = withoutPostgres(s, ids[0], strange)
			}
			f.heal(s)
			back = true
			healed := time.Now()
			for _, r := range s.replicas {
				r.ready()
			}
			up := time.Since(healed)
			elapse(2500 * time.Millisecond)
			sends := l.stop()
			before, during, after := phases(sends, began, healed)
			t.Logf("noticed after %s; ready %s after it was back, as before %s after it was back", noticed.Round(time.Millisecond), up.Round(time.Millisecond), recovery(sends, healed))
			for i, phase := range [][]*send{before, during, after} {
				t.Logf("%s: %s", []string{"before", "during", "after"}[i], summary(phase))
			}
			only(t, sends, 200, 202, 422)
			for _, x := range before {
				if x.end.Before(began) {
					only(t, []*send{x}, 200, 422)
				}
			}
			if f.component == "redis" {
				only(t, sends, 200, 422)
			}
			s.auditAll(sends, ids...)
			if f.component == "postgres" {
				if ops := s.audit(made, nil); len(ops) != 2 {
					t.Errorf("the wallet that was made without PostgreSQL has %d operations", len(ops))
				}
			}
			if f.component == "kafka" && s.count("SELECT count(*) FROM operations WHERE origin = 1") == 0 {
				t.Error("no operation went the direct way")
			}
		})
	}
}

// unknownToRedis makes a wallet that only the ledger knows of.
func unknownToRedis(s *stack) uuid.UUID {
	id := uuid.New()
	s.exec(s.dsn(), fmt.Sprintf("INSERT INTO wallets VALUES ('%s', 0, 0, now(), now())", id))
	return id
}

// withoutPostgres checks what is answered, and makes a wallet.
func withoutPostgres(s *stack, known, strange uuid.UUID) uuid.UUID {
	a, b := s.replicas[0], s.replicas[1]
	for _, path := range []string{walletPath(known) + "/operations", walletPath(strange), walletPath(known) + "/operations/" + strange.String()} {
		if x := b.get(path); x.code != 503 || x.header.Get("Retry-After") == "" || x.doc.Code != "unavailable" {
			s.t.Errorf("GET %s: %v", path, x)
		}
	}
	key := "made-without-" + uuid.NewString()
	keyed := expect(s.t, b.do(http.MethodPost, "/api/v1/wallet/create", nil, "Idempotency-Key", key), http.StatusAccepted)
	expect(s.t, a.submit(uuid.MustParse(keyed.doc.WalletID), deposit, 5), http.StatusAccepted)
	made := expect(s.t, a.do(http.MethodPost, "/api/v1/wallet/create", nil), http.StatusAccepted)
	if made.header.Get("Location") == "" {
		s.t.Errorf("made without PostgreSQL: %v", made.header)
	}
	id := uuid.MustParse(made.doc.WalletID)
	expect(s.t, b.get(walletPath(id)), 200)
	for _, r := range s.replicas {
		x := expect(s.t, r.submit(id, deposit, 5), http.StatusAccepted)
		if x.header.Get("Location") == "" {
			s.t.Errorf("a deposit into it: %v", x.header)
		}
	}
	expect(s.t, b.submit(strange, deposit, 5), http.StatusAccepted)
	return id
}

func TestPostgresAndKafkaTogether(t *testing.T) {
	s := startStack(t, 1)
	r, id := s.replicas[0], s.wallet()
	expect(t, r.submit(id, deposit, 100), 200)
	l := s.start(load{wallets: s.wallets(2), rate: 100, repeat: true})
	elapse(500 * time.Millisecond)
	back := false
	heal := func() {
		if back {
			return
		}
		back = true
		s.postgres.Resume()
		if err := s.kafka.Restart(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	defer heal()
	s.kafkaWentAway = true
	s.kafka.Kill()
	s.postgres.Pause()
	began := time.Now()
	eventually(t, "unready", func() bool { h, err := r.health(); return err == nil && h.code == 503 })
	t.Logf("unready after %s", time.Since(began).Round(time.Millisecond))
	var keyed []answer
	for n := range 5 {
		a := expect(t, r.submit(id, deposit, 1, "Idempotency-Key", fmt.Sprint("both-", n)), 503)
		if a.header.Get("Retry-After") == "" || a.doc.Outcome != "unknown" && a.doc.Outcome != "not_applied" || a.doc.Code != "unavailable" || !value(a.doc.Retryable) {
			t.Errorf("answered %v", a)
		}
		keyed = append(keyed, a)
	}
	if a := r.do(http.MethodPost, "/api/v1/wallet/create", nil); a.code != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("create: %v", a)
	}
	eventually(t, "the balance is read from Redis", func() bool { a := r.get(walletPath(id)); return a.code == 200 && value(a.doc.Balance) == 100 })
	heal()
	healed := time.Now()
	r.ready()
	t.Logf("ready %s after both are back", time.Since(healed).Round(time.Millisecond))
	sends := l.stop()
	t.Log(summary(sends))
	only(t, sends, 200, 202, 422)
	s.auditAll(sends)
	ops := s.audit(id, nil)
	for n, a := range keyed {
		again := expect(t, r.submit(id, deposit, 1, "Idempotency-Key", fmt.Sprint("both-", n)), 200)
		if a.doc.Outcome == "not_applied" && again.header.Get("Idempotency-Replayed") != "" {
			t.Errorf("what was answered not_applied was applied: %v", a)
		}
	}
	if after := s.audit(id, nil); len(after) != 1+len(keyed) || len(ops) > len(after) {
		t.Errorf("%d operations", len(after))
	}
}
