package applier

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/walletd/walletd/internal/wallet"
)

// What the metrics say of a partition is what its owner is at, and nothing once
// the partition has gone.
func TestStateMetricsFollowThePartition(t *testing.T) {
	now := time.UnixMicro(1_000_000_000_000)
	registry := prometheus.NewRegistry()
	a := New(Config{Limits: DefaultLimits(), Log: slog.New(slog.DiscardHandler), Registerer: registry, Now: func() time.Time { return now }})
	w := newWorker(a, uuid.New(), 3, wallet.Progress{Next: 7, Lists: []wallet.List{{WalletID: uuid.New()}}})
	a.workers[3], a.stopped[5] = w, wallet.ErrTopicChanged

	expect := func(oldest string) {
		t.Helper()
		want := `# HELP walletd_oldest_unapplied_seconds Age of the oldest record that a partition's owner has and has not applied; 0: none. Only owned partitions have it.
# TYPE walletd_oldest_unapplied_seconds gauge
walletd_oldest_unapplied_seconds{partition="3"} ` + oldest + `
# HELP walletd_partition_stopped 1 while a partition waits for an operator's decision.
# TYPE walletd_partition_stopped gauge
walletd_partition_stopped{partition="3"} 0
walletd_partition_stopped{partition="5"} 1
# HELP walletd_requeued_lists Wallets that are set aside. Only owned partitions have it.
# TYPE walletd_requeued_lists gauge
walletd_requeued_lists{partition="3"} 1
`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want),
			"walletd_oldest_unapplied_seconds", "walletd_partition_stopped", "walletd_requeued_lists"); err != nil {
			t.Error(err)
		}
	}
	record := func(offset int64, age time.Duration) wallet.Record {
		return wallet.Record{Kind: wallet.KindOperations, Receipt: wallet.Receipt{Partition: 3, Offset: offset},
			Operations: []wallet.Operation{{AcceptedAt: now.Add(-age)}}}
	}
	expect("0")
	w.door.fetched([]wallet.Record{{Kind: wallet.KindPoison, Receipt: wallet.Receipt{Partition: 3, Offset: 7}}, record(8, 90*time.Second), record(9, time.Second)})
	expect("90")
	records, _, _ := w.door.take(t.Context(), 1)
	w.oldestApplying.Store(firstAccepted(records))
	expect("90") // the poison record's successor
	records, _, _ = w.door.take(t.Context(), 1)
	w.oldestApplying.Store(firstAccepted(records))
	now = now.Add(10 * time.Second)
	expect("100")
	w.oldestApplying.Store(0)
	expect("11")

	w.cancel = func() {}
	a.Journal = nowhere{}
	a.Revoked(3)
	a.Revoked(5)
	if n, err := testutil.GatherAndCount(registry, "walletd_oldest_unapplied_seconds", "walletd_partition_stopped", "walletd_requeued_lists"); err != nil || n != 0 {
		t.Errorf("%d metrics of partitions that have gone, %v", n, err)
	}
}

// nowhere is a journal that is not asked for anything.
type nowhere struct{ Journal }
