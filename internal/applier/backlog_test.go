package applier_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/applier"
	"github.com/walletd/walletd/internal/wallet"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// metric returns the value of a gauge or a counter without labels.
func metric(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// What lacks its record in the journal shows by its age, and what it waits for is
// said once, not each round.
func TestABacklogOfBackfillsIsSeen(t *testing.T) {
	t.Parallel()
	w, db := newWorld(t, 1)
	if _, err := db.conn.Exec(testContext(t), "INSERT INTO wallets VALUES ($1, 0, 0, now() - interval '1000 s', now())", uuid.UUID{15: 1}); err != nil {
		t.Fatal(err)
	}
	registry, said, rounds := prometheus.NewRegistry(), new(lines), new(atomic.Int64)
	r := w.replica(func(_ *replica, c *applier.Config) {
		c.Registerer, c.Log = registry, slog.New(slog.NewTextHandler(said, nil))
	})
	r.journal.Refuse(func(wallet.Record) error { rounds.Add(1); return wallet.ErrUnacknowledged })
	r.journal.Own(0)
	eventually(t, "it is tried again and again", func() bool { return rounds.Load() >= 3 })
	if age := metric(t, registry, "walletd_oldest_unjournaled_seconds"); age < 1000 || age > 1200 {
		t.Errorf("the oldest is %v s old, not 1000", age)
	}
	r.journal.Refuse(nil)
	w.backfilled()
	eventually(t, "it has its record", func() bool { return metric(t, registry, "walletd_oldest_unjournaled_seconds") == 0 })
	eventually(t, "that it goes on is said", func() bool { return said.count("level=INFO") == 1 })
	if n := said.count("level=WARN"); n != 1 {
		t.Errorf("%d warnings in %d rounds, not 1", n, rounds.Load())
	}
	w.settle()
}
