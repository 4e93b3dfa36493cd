package ledger_test

import (
	"testing"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
)

func TestMigratingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.funded(100)
	before := b.dump()
	applied, err := b.Migrate(testContext(t))
	if err != nil || len(applied) != 0 || b.dump() != before {
		t.Fatalf("applied %v, %v", applied, err)
	}
}

// Two only: who does not get the lock asks again after five seconds.
func TestReplicasThatStartTogetherMigrateOnce(t *testing.T) {
	t.Parallel()
	dsn := embeddedtest.EmptyDatabase(t)
	const replicas = 2
	type result struct {
		applied []string
		err     error
	}
	results := make(chan result, replicas)
	for range replicas {
		l := open(t, embeddedtest.LedgerConfig(dsn))
		go func() {
			applied, err := l.Migrate(testContext(t))
			results <- result{applied, err}
		}()
	}
	applied := map[string]int{}
	for range replicas {
		r := <-results
		if r.err != nil {
			t.Error(r.err)
		}
		for _, name := range r.applied {
			applied[name]++
		}
	}
	if len(applied) == 0 {
		t.Error("nobody migrated")
	}
	for name, n := range applied {
		if n != 1 {
			t.Errorf("%s was applied %d times", name, n)
		}
	}
}
