package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// lock holds the wallet's row as somebody at a prompt would, until release is called.
func (s *stack) lock(conn *pgx.Conn, id uuid.UUID) (release func()) {
	s.t.Helper()
	tx, err := conn.Begin(context.Background())
	if err == nil {
		_, err = tx.Exec(context.Background(), "SELECT 1 FROM wallets WHERE id = $1 FOR UPDATE", id)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(context.Background()); err != nil {
			s.t.Error(err)
		}
	}
}

// walletIn makes a wallet whose records are in the partition.
func (s *stack) walletIn(partition int32) uuid.UUID {
	s.t.Helper()
	for {
		id := s.wallet()
		if a := expect(s.t, s.replicas[0].submit(id, deposit, 1), 200); value(a.doc.Operation.Partition) == partition {
			return id
		}
	}
}

func TestARowHeldLockedSetsOnlyItsWalletAside(t *testing.T) {
	s := startStack(t, 2)
	held, others := s.wallet(), s.wallets(3)
	first := expect(t, s.replicas[0].submit(held, deposit, 1_000_000), 200)
	others = append([]uuid.UUID{s.walletIn(value(first.doc.Operation.Partition))}, others...)
	release := s.lock(s.connect(), held)
	l := s.start(load{wallets: others, rate: 150})
	var sends []*send
	for n := range 60 { // each one's turn matters: the balance says whether it was taken
		x := &send{wallet: held, key: fmt.Sprint("held-", n), kind: withdraw, amount: int64(1 + n), sent: time.Now()}
		r := s.replicas[n%2]
		x.by = r.incarnation()
		x.answer = r.submit(held, withdraw, x.amount, "Idempotency-Key", x.key, "Prefer", "respond-async")
		x.end = time.Now()
		expect(t, x.answer, http.StatusAccepted)
		sends = append(sends, x)
	}
	elapse(3 * time.Second)
	for n, x := range sends {
		got := expect(t, s.replicas[(n+1)%2].get(x.answer.header.Get("Location")), 200)
		if !strings.Contains(string(got.body), `"PENDING"`) {
			t.Errorf("while the row is locked: %s", got.body)
		}
	}
	during := l.stop()
	t.Logf("other wallets while one is locked: %s", summary(during))
	only(t, during, 200, 422)
	for _, x := range during {
		if d := x.end.Sub(x.sent); d > 3*time.Second {
			t.Errorf("another wallet waited %s", d)
		}
	}
	released := time.Now()
	release()
	s.drained()
	t.Logf("applied %s after the release", time.Since(released).Round(time.Millisecond))
	ops := s.audit(held, nil)
	for n, x := range sends {
		if len(ops) != 1+len(sends) || ops[1+n].OperationID != x.id() {
			t.Fatalf("operation %d of %d is not the %d-th that was sent", n+2, len(ops), n+1)
		}
	}
	s.auditAll(during)
}
