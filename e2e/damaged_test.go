package e2e_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
)

// isApart reports whether the wallets' rows are in different blocks.
func (s *stack) isApart(a, b uuid.UUID) bool {
	s.t.Helper()
	return s.count(`SELECT count(DISTINCT (ctid::text::point)[0]) FROM wallets WHERE id IN ($1, $2)`, a, b) == 2
}

// A block that is really damaged is the trouble of the wallets in it alone: theirs is
// journaled, and applied in order once it is repaired; the others go on, those of the same
// partition too, and so they do after a restart.
func TestADamagedBlockIsTheTroubleOfItsOwnWallets(t *testing.T) {
	s := startStack(t, 1)
	r := s.replicas[0]
	bad := s.wallet()
	first := expect(t, r.submit(bad, deposit, 1_000), 200)
	s.exec(s.dsn(), `INSERT INTO wallets (id, balance, version, created_at, updated_at) SELECT gen_random_uuid(), 0, 0, now(), now() FROM generate_series(1, 1000)`)
	beside := s.walletIn(value(first.doc.Operation.Partition))
	if !s.isApart(bad, beside) {
		t.Fatal("both rows are in one block")
	}
	s.drained()

	repair := embeddedtest.Damage(t, s.connect(), "wallets", "id = $1", bad)
	for range 5 {
		expect(t, r.submit(bad, deposit, 1, "Prefer", "respond-async"), 202)
		expect(t, r.submit(beside, deposit, 1), 200)
	}
	if n := s.count(`SELECT count(*) FROM requeued_lists`); n != 1 {
		t.Errorf("%d wallets are set aside, want the one", n)
	}
	r.kill()
	r.start()
	r.ready()
	eventually(t, "the partition is given to its new life", func() bool { return r.submit(beside, deposit, 1).code == 200 })
	began := time.Now()
	for range 5 {
		expect(t, r.submit(bad, withdraw, 2, "Prefer", "respond-async"), 202)
		expect(t, r.submit(beside, deposit, 1), 200)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the others' took %s", took)
	}
	fresh := s.wallet() // one that nobody has met
	expect(t, r.submit(fresh, deposit, 7), 200)

	repair()
	s.drained()
	s.audit(beside, nil)
	s.audit(fresh, nil)
	if ops := s.audit(bad, nil); len(ops) != 11 || value(ops[10].BalanceAfter) != 995 {
		t.Errorf("%d operations of the damaged wallet: %+v", len(ops), ops[len(ops)-1])
	}
}
