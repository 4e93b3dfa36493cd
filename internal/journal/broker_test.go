package journal

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/goleak"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// pair are two replicas in one group, over one ledger, that share four partitions.
func pair(t *testing.T) (journals [2]*Journal, appliers [2]*fakeApplier) {
	t.Helper()
	cfg, l := testConfig(embeddedtest.Kafka(t).Brokers()), &fakeLedger{}
	cfg.Partitions = 4
	for i := range journals {
		appliers[i] = newApplier(appliers[0].offsets())
		cfg.Replica = uuid.New()
		journals[i] = started(t, cfg, l, appliers[i])
		if i == 0 {
			appliers[0].until(t, "the first has all", func() bool { return len(appliers[0].owned) == 4 })
		}
	}
	for _, a := range appliers {
		a.until(t, "each has its share", func() bool { return len(a.owned) == 2 })
	}
	return journals, appliers
}

func (a *fakeApplier) offsets() *offsets {
	if a == nil {
		return nil
	}
	return a.kept
}

// account is what one wallet's writer was told.
type account struct {
	id    uuid.UUID
	acked []wallet.Operation // in order, with their receipts
	tried int
}

// write writes one more operation.
func (a *account) write(j *Journal) error {
	a.tried++
	op := deposit(a.id, wallet.Amount(a.tried))
	receipt, err := j.put(op)
	if err == nil {
		op.Receipt = receipt
		a.acked = append(a.acked, op)
	}
	return err
}

// audit compares the whole topic with what the writers were told: everything that
// was acknowledged is at its place, nothing is there twice, each wallet is in order.
func audit(t *testing.T, j *Journal, accounts []*account) {
	t.Helper()
	found, last := map[uuid.UUID]wallet.Receipt{}, map[uuid.UUID]wallet.Amount{}
	ends, _, err := j.endsOf(t.Context(), j.config.Topic, j.writer.Load().topic.ID)
	if err != nil {
		t.Fatal(err)
	}
	for p := range j.PartitionCount() {
		for _, r := range content(t, j.config.Brokers, j.config.Topic, p, int(ends[p])) {
			for _, op := range Decode(r).Operations {
				if before, twice := found[op.ID]; twice {
					t.Errorf("operation %s is at %+v and at offset %d", op.ID, before, r.Offset)
				}
				if op.Amount <= last[op.WalletID] {
					t.Errorf("operation %d of a wallet stands behind %d", op.Amount, last[op.WalletID])
				}
				found[op.ID], last[op.WalletID] = wallet.Receipt{Partition: p, Offset: r.Offset}, op.Amount
			}
		}
	}
	total := 0
	for _, a := range accounts {
		total += len(a.acked)
		for _, op := range a.acked {
			if found[op.ID] != op.Receipt {
				t.Errorf("acknowledged at %+v, is at %+v", op.Receipt, found[op.ID])
			}
		}
	}
	t.Logf("%d acknowledged, %d in the journal", total, len(found))
}

func TestTwoReplicasShareThePartitionsAndReadWhatEitherWrites(t *testing.T) {
	journals, appliers := pair(t)
	accounts := make([]*account, 12)
	var writers sync.WaitGroup
	for i := range accounts {
		accounts[i] = &account{id: uuid.New()}
		writers.Go(func() {
			for range 20 {
				if err := accounts[i].write(journals[i%2]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	readAll(t, appliers[:], accounts)
	audit(t, journals[0], accounts)
	groupFollows(t, journals[0], appliers[0].kept)
}

// readAll waits until the appliers have read everything that was acknowledged.
func readAll(t *testing.T, appliers []*fakeApplier, accounts []*account) {
	t.Helper()
	eventually(t, "everything is read", func() bool {
		seen := map[uuid.UUID]bool{}
		for _, a := range appliers {
			for _, op := range a.seen() {
				seen[op.ID] = true
			}
		}
		for _, a := range accounts {
			for _, op := range a.acked {
				if !seen[op.ID] {
					return false
				}
			}
		}
		return true
	})
}

// groupFollows waits until the group's committed offsets are the ledger's, for
// tools that show the lag.
func groupFollows(t *testing.T, j *Journal, kept *offsets) {
	t.Helper()
	admin := kadm.NewClient(client(t, j.config.Brokers))
	eventually(t, "the group's offsets are the ledger's", func() bool {
		committed, err := admin.FetchOffsets(t.Context(), j.config.Group)
		kept.mu.Lock()
		defer kept.mu.Unlock()
		for p, next := range kept.next {
			if at, ok := committed.Lookup(j.config.Topic, p); err != nil || !ok || at.At != next {
				return false
			}
		}
		return true
	})
}

func TestPartitionsOfAReplicaThatLeavesMoveAtOnce(t *testing.T) {
	journals, appliers := pair(t)
	began := time.Now()
	journals[0].Close()
	appliers[1].until(t, "the other has all", func() bool { return len(appliers[1].owned) == 4 })
	if d := time.Since(began); d >= journals[0].config.SessionTimeout {
		t.Errorf("took %s", d)
	}
	if len(appliers[0].owned) != 0 {
		t.Errorf("the one that left keeps %v", appliers[0].owned)
	}
}

func TestPartitionsOfAReplicaThatDiesMoveWhenItsSessionEnds(t *testing.T) {
	journals, appliers := pair(t)
	accounts := []*account{{id: uuid.New()}, {id: uuid.New()}, {id: uuid.New()}, {id: uuid.New()}}
	readerOf(t, journals[0]).kill() // it says nothing more, as a killed process
	for _, a := range accounts {
		if err := a.write(journals[1]); err != nil {
			t.Fatal(err)
		}
	}
	appliers[1].until(t, "the other has all", func() bool { return len(appliers[1].owned) == 4 })
	readAll(t, appliers[:], accounts)
}

// The broker is killed in the middle of writes; what it has acknowledged is on its disk.
func TestKilledBrokerLosesAndDoublesNothing(t *testing.T) {
	broker := embeddedtest.Kafka(t)
	cfg, a := testConfig(broker.Brokers()), newApplier(nil)
	cfg.Partitions, cfg.AckTimeout = 2, 500*time.Millisecond
	j := met(t, cfg, &fakeLedger{}, a)
	accounts := make([]*account, 8)
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for i := range accounts {
		accounts[i] = &account{id: uuid.New()}
		writers.Go(func() { writeUntil(ctx, t, accounts[i], j) })
	}
	a.until(t, "some is acknowledged", progress(a))
	broker.Kill()
	eventually(t, "writes are refused", func() bool { return j.Available() != nil })
	if err := broker.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.until(t, "more is acknowledged", progress(a))
	cancel()
	writers.Wait()
	readAll(t, []*fakeApplier{a}, accounts)
	audit(t, j, accounts)
}

// progress says when more has been acknowledged than by now. The applier is
// locked when it is asked, not when this is called.
func progress(a *fakeApplier) func() bool {
	before := len(a.acknowledged())
	return func() bool { return len(a.acked) > before+100 }
}

func writeUntil(ctx context.Context, t *testing.T, a *account, j *Journal) {
	for ctx.Err() == nil {
		err := a.write(j)
		switch {
		case err == nil:
		case errors.Is(err, wallet.ErrNotJournaled):
			select { // refused at once: not a busy loop
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		case !errors.Is(err, wallet.ErrUnacknowledged):
			t.Errorf("write: %v", err)
		}
	}
}

func TestCloseIsBoundedWhateverTheBrokerDoes(t *testing.T) {
	broker := embeddedtest.Kafka(t)
	for _, c := range []struct {
		name        string
		fault, heal func()
		bound       time.Duration
	}{
		{"up", func() {}, func() {}, closeTimeout},
		{"hung", broker.Pause, broker.Resume, closeTimeout + 2*time.Second},
		{"dead", broker.Kill, func() {}, closeTimeout + 2*time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			cfg, a := testConfig(broker.Brokers()), newApplier(nil)
			cfg.AckTimeout = time.Minute // whoever waits is let go by Close
			j := met(t, cfg, &fakeLedger{}, a)
			if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
				t.Fatal(err)
			}
			c.fault()
			waiting := make(chan error, 1)
			if c.name != "up" {
				p := j.writer.Load().writers[0]
				go func() {
					_, err := j.put(deposit(uuid.New(), 2))
					waiting <- err
				}()
				eventually(t, "a write waits", func() bool { return p.size() > 0 })
			} else {
				waiting <- wallet.ErrUnacknowledged
			}
			began := time.Now()
			j.Close()
			if d := time.Since(began); d > c.bound {
				t.Errorf("took %s", d)
			}
			select {
			case err := <-waiting:
				if err == nil {
					t.Error("an unanswered write counts as acknowledged")
				}
			case <-time.After(patience):
				t.Error("a write waits for a journal that is closed")
			}
			if _, err := j.put(deposit(uuid.New(), 3)); !errors.Is(err, wallet.ErrNotJournaled) {
				t.Errorf("a write to a closed journal: %v", err)
			}
			c.heal()
			eventually(t, "nothing runs on", func() bool { return goleak.Find(before) == nil })
		})
	}
	if err := broker.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestCloseBeforeTheBrokerWasMet(t *testing.T) {
	before := goleak.IgnoreCurrent()
	for _, brokers := range [][]string{{"127.0.0.1:1"}, embeddedtest.Kafka(t).Brokers()} {
		j, err := Open(testConfig(brokers))
		if err != nil {
			t.Fatal(err)
		}
		j.Start(&fakeLedger{}, newApplier(nil))
		began := time.Now()
		j.Close()
		j.Close() // once more does nothing
		if d := time.Since(began); d > closeTimeout+5*time.Second {
			t.Errorf("took %s", d)
		}
	}
	eventually(t, "nothing runs on", func() bool { return goleak.Find(before) == nil })
}
