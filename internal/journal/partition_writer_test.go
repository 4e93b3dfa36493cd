package journal

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// hold makes the broker keep produce requests unanswered from now on. arrived has
// a token for each; release answers them and all later ones.
func hold(c *kfake.Cluster) (arrived <-chan struct{}, release func()) {
	came, open := make(chan struct{}, 1000), make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		select {
		case <-open:
			c.DropControl()
			return nil, nil, false
		default:
		}
		c.KeepControl()
		came <- struct{}{}
		c.SleepControl(func() { <-open })
		return nil, nil, false
	})
	return came, sync.OnceFunc(func() { close(open) })
}

// taken waits for a token.
func taken(t *testing.T, tokens <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-tokens:
	case <-time.After(patience):
		t.Fatalf("never: %s", what)
	}
}

// result is what became of one write.
type result struct {
	receipt wallet.Receipt
	err     error
}

// begun runs one write, and returns when its entry waits or flies.
func begun(t *testing.T, j *Journal, p *partitionWriter, rec wallet.Record) <-chan result {
	t.Helper()
	done, before := make(chan result, 1), p.size()
	go func() {
		receipts, err := j.Append(rec)
		done <- result{receipts[0], err}
	}()
	eventually(t, "the write is queued", func() bool { return p.size() > before })
	return done
}

// size is how many entries wait or fly.
func (p *partitionWriter) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting) + len(p.flying)
}

// ended returns what became of a write.
func ended(t *testing.T, done <-chan result) result {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(patience):
		t.Fatal("a write does not end")
		return result{}
	}
}

// shape is what matters of a record here.
type shape struct {
	kind    wallet.Kind
	wallet  uuid.UUID
	attempt int
	amounts []wallet.Amount
}

func shapeOf(rec wallet.Record) shape {
	s := shape{kind: rec.Kind, wallet: rec.WalletID, attempt: rec.Attempt}
	for _, op := range rec.Operations {
		s.amounts = append(s.amounts, op.Amount)
	}
	return s
}

func (s shape) equal(o shape) bool {
	return s.kind == o.kind && s.wallet == o.wallet && s.attempt == o.attempt && slices.Equal(s.amounts, o.amounts)
}

func TestWhatArrivesDuringAFlushSharesRecordsAndOneRequest(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	p := j.writer.Load().writers[0]
	arrived, release := hold(broker)
	defer release()
	hot, other := uuid.New(), uuid.New()
	copied := operations(deposit(hot, 4))
	copied.Attempt = 1
	backfill := operations(deposit(hot, 5))
	backfill.Kind = wallet.KindBackfill
	create := wallet.Record{Kind: wallet.KindCreate, WalletID: other, Operations: []wallet.Operation{{ID: other, WalletID: other, AcceptedAt: time.UnixMicro(1)}}}

	// A lone operation waits for nobody; the others for its flush.
	results := []<-chan result{begun(t, j, p, operations(deposit(hot, 1)))}
	taken(t, arrived, "the lone one is on its way")
	for _, rec := range []wallet.Record{
		operations(deposit(hot, 2)), operations(deposit(other, 20)), operations(deposit(hot, 3)),
		copied,
		operations(deposit(hot, 6)), backfill, operations(deposit(hot, 7)), operations(deposit(hot, 8)),
		create, operations(deposit(other, 21)),
	} {
		results = append(results, begun(t, j, p, rec))
	}
	release()
	want := []shape{
		{wallet.KindOperations, hot, 0, []wallet.Amount{1}},
		{wallet.KindOperations, hot, 0, []wallet.Amount{2, 3}},
		{wallet.KindOperations, other, 0, []wallet.Amount{20}},
		{wallet.KindOperations, hot, 1, []wallet.Amount{4}},
		{wallet.KindOperations, hot, 0, []wallet.Amount{6}},
		{wallet.KindBackfill, hot, 0, []wallet.Amount{5}},
		{wallet.KindOperations, hot, 0, []wallet.Amount{7, 8}},
		{wallet.KindCreate, other, 0, []wallet.Amount{0}},
		{wallet.KindOperations, other, 0, []wallet.Amount{21}},
	}
	offsets := []int64{0, 1, 2, 1, 3, 4, 5, 6, 6, 7, 8}
	for i, done := range results {
		if r := ended(t, done); r.err != nil || r.receipt != (wallet.Receipt{Partition: 0, Offset: offsets[i]}) {
			t.Errorf("write %d: %+v, %v, want offset %d", i, r.receipt, r.err, offsets[i])
		}
	}
	for i, r := range content(t, broker.ListenAddrs(), j.config.Topic, 0, len(want)) {
		if got := shapeOf(Decode(r)); !got.equal(want[i]) {
			t.Errorf("record %d: %+v, want %+v", i, got, want[i])
		}
	}
	for i, rec := range a.acknowledged() {
		if got := shapeOf(rec); !got.equal(want[i]) || rec.Receipt.Offset != int64(i) {
			t.Errorf("acknowledged %d: %+v at %d, want %+v", i, got, rec.Receipt.Offset, want[i])
		}
	}
	if n := len(arrived); n != 0 { // after the lone one's, all went in the request that no longer was held
		t.Errorf("%d more requests were held", n)
	}
	if info := broker.PartitionInfo(j.config.Topic, 0); info.HighWatermark != int64(len(want)) {
		t.Errorf("%d records", info.HighWatermark)
	}
}

func TestRecordHoldsNoMoreThanItsBound(t *testing.T) {
	id := uuid.New()
	var entries []*entry
	for i := range 2*wallet.MaxRecordOperations + 1 {
		entries = append(entries, &entry{rec: operations(deposit(id, wallet.Amount(i+1)))})
	}
	next := wallet.Amount(1)
	groups := group(entries)
	for i, want := range []int{wallet.MaxRecordOperations, wallet.MaxRecordOperations, 1} {
		if got := len(groups[i].rec.Operations); got != want || len(groups[i].entries) != want {
			t.Fatalf("record %d: %d operations", i, got)
		}
		for _, op := range groups[i].rec.Operations {
			if op.Amount != next {
				t.Fatalf("operation %d stands where %d belongs", op.Amount, next)
			}
			next++
		}
	}
}

// A bulk is never split, whatever shares its record.
func TestABulkStaysTogetherAndInOrder(t *testing.T) {
	id := uuid.New()
	amount := wallet.Amount(0)
	some := func(n int) *entry {
		ops := make([]wallet.Operation, n)
		for i := range ops {
			amount++
			ops[i] = deposit(id, amount)
		}
		return &entry{rec: operations(ops...)}
	}
	entries := []*entry{some(1), some(600), some(399), some(1), some(wallet.MaxRecordOperations), some(500), some(500)}
	next := wallet.Amount(1)
	groups := group(entries)
	for i, want := range []int{1000, 1, 1000, 1000} {
		if got := len(groups[i].rec.Operations); got != want {
			t.Fatalf("record %d: %d operations", i, got)
		}
		for _, op := range groups[i].rec.Operations {
			if op.Amount != next {
				t.Fatalf("operation %d stands where %d belongs", op.Amount, next)
			}
			next++
		}
	}
}

// stalledWith leaves one write flying and one waiting until both are let go.
func stalledWith(t *testing.T, broker *kfake.Cluster, j *Journal) (release func()) {
	t.Helper()
	p := j.writer.Load().writers[0]
	arrived, release := hold(broker)
	t.Cleanup(release)
	id := uuid.New()
	flying := begun(t, j, p, operations(deposit(id, 1)))
	taken(t, arrived, "one flies")
	waiting := begun(t, j, p, operations(deposit(id, 2)))
	if r := ended(t, flying); !errors.Is(r.err, wallet.ErrUnacknowledged) || r.receipt != wallet.NoReceipt {
		t.Errorf("flying: %+v", r)
	}
	if r := ended(t, waiting); !errors.Is(r.err, wallet.ErrNotJournaled) || r.receipt != wallet.NoReceipt {
		t.Errorf("waiting: %+v", r)
	}
	began := time.Now()
	if _, err := j.put(deposit(id, 3)); !errors.Is(err, wallet.ErrNotJournaled) || time.Since(began) > j.config.AckTimeout {
		t.Errorf("a write after that: %v after %s", err, time.Since(began))
	}
	if j.Available() == nil {
		t.Error("it counts as available")
	}
	return release
}

func TestUnacknowledgedFlushLetsEverybodyGoAndTheWriterRecovers(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	cfg := testConfig(broker.ListenAddrs())
	cfg.AckTimeout = 3 * time.Second
	j := met(t, cfg, &fakeLedger{}, a)
	release := stalledWith(t, broker, j)
	if got := a.acknowledged(); len(got) != 0 {
		t.Fatalf("acknowledged %+v", got)
	}
	release() // the broker answers after all
	a.until(t, "the late one is told of", func() bool { return len(a.acked) == 1 })
	if got := a.acknowledged()[0]; got.Receipt.Offset != 0 || got.Operations[0].Amount != 1 {
		t.Errorf("acknowledged %+v", got)
	}
	eventually(t, "it is written again", func() bool { return j.Available() == nil })
	receipt, err := j.put(deposit(uuid.New(), 4))
	if err != nil || receipt.Offset != 1 { // what waited was never written
		t.Errorf("%+v, %v", receipt, err)
	}
}

// The broker may answer in the very moment in which the wait for it ends: the timer
// then finds the flush over, and nothing would end a stall.
func TestFlushThatIsAnsweredJustInTimeLeavesTheWriterUsable(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	p := j.writer.Load().writers[0]
	for flush := range 3 {
		if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the flush is over", func() bool { return p.size() == 0 })
		p.overdue(flush)
		if p.available() != nil {
			t.Fatal("everything is acknowledged, and it is refused for ever")
		}
	}
}

func TestWritesOfOneWalletKeepTheirOrderUnderLoad(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	cfg := testConfig(broker.ListenAddrs())
	cfg.Partitions = 3
	j := met(t, cfg, &fakeLedger{}, a)
	const writers, each = 20, 50
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New(), uuid.New()}
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for i := range each {
				op := deposit(ids[w%len(ids)], wallet.Amount(w*1000+i+1))
				if receipt, err := j.put(op); err != nil || receipt.Partition != j.PartitionOf(op.WalletID) {
					t.Errorf("%+v, %v", receipt, err)
				}
			}
		})
	}
	running.Wait()
	a.until(t, "all are fetched", func() bool {
		n := 0
		for _, r := range a.fetched {
			n += len(r.Operations)
		}
		return n == writers*each
	})
	last := map[int64]wallet.Amount{}
	for _, op := range a.seen() {
		writer := int64(op.Amount) / 1000
		if op.Amount <= last[writer] {
			t.Fatalf("writer %d: %d after %d", writer, op.Amount, last[writer])
		}
		last[writer] = op.Amount
	}
	for _, rec := range a.acknowledged() {
		if rec.Replica != j.config.Replica {
			t.Errorf("record of %s", rec.Replica)
		}
	}
}

func TestAcknowledgedComesInOffsetOrderBeforeTheWriterIsTold(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	var running sync.WaitGroup
	for range 10 {
		running.Go(func() {
			for range 30 {
				receipt, err := j.put(deposit(uuid.New(), 1))
				acked := a.acknowledged()
				if err != nil || int64(len(acked)) <= receipt.Offset || acked[receipt.Offset].Receipt != receipt {
					t.Errorf("%+v, %v, %d acknowledged", receipt, err, len(acked))
				}
			}
		})
	}
	running.Wait()
}

// What a writer is told must already be on its way to the ledger.
func TestApplierIsToldBeforeTheWriter(t *testing.T) {
	a := newApplier(nil)
	var got wallet.Receipt
	e := &entry{done: func(r wallet.Receipt, err error) {
		if got = r; err != nil || len(a.acked) != 1 {
			t.Errorf("the writer is told %v before the applier", err)
		}
	}}
	w := &topicWriter{applier: a, gap: make(chan struct{}, 1)}
	if !w.answered(&partitionWriter{}, &pendingRecord{entries: []*entry{e}}, &kgo.Record{Partition: 2, Offset: 9}, nil) || got != (wallet.Receipt{Partition: 2, Offset: 9}) {
		t.Errorf("told %+v", got)
	}
}

func TestCopyIsAppendedAsItIs(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	rec := operations(deposit(uuid.New(), 1))
	rec.Attempt, rec.Replica = 3, uuid.New()
	receipts, err := j.Append(rec)
	got := Decode(content(t, broker.ListenAddrs(), j.config.Topic, 0, 1)[0])
	if err != nil || receipts[0] != got.Receipt || got.Attempt != 3 || got.Replica != rec.Replica || got.Operations[0] != rec.Operations[0] {
		t.Errorf("%+v, %v: %+v", receipts, err, got)
	}
}

// Many records appended at once share a wave or two, where each would have waited
// for its own; those of one wallet keep their order.
func TestRecordsAppendedAtOnceShareWaves(t *testing.T) {
	t.Parallel()
	broker, _, j := metFour(t)
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil { // the client has met the broker
		t.Fatal(err)
	}
	sizes, records := requests(broker), make([]wallet.Record, 40)
	for i := range records {
		if i%2 == 0 {
			records[i] = operations(deposit(uuid.New(), 1))
		} else {
			records[i] = operations(deposit(records[i-1].WalletID, 2))
		}
		records[i].Attempt = 1
	}
	receipts, err := j.Append(records...)
	if err != nil || len(receipts) != len(records) {
		t.Fatalf("%v, %v", receipts, err)
	}
	for i := 1; i < len(records); i += 2 {
		if !receipts[i-1].Known() || receipts[i].Partition != receipts[i-1].Partition || receipts[i].Offset <= receipts[i-1].Offset {
			t.Errorf("the wallet's second record is at %+v, its first at %+v", receipts[i], receipts[i-1])
		}
	}
	if got := sizes(); len(got) > len(records)/4 {
		t.Errorf("%d requests for %d records: %v", len(got), len(records), got)
	}
}

// What is appended at once is answered each on its own: a partition whose broker
// does not answer takes nothing from the others'.
func TestRecordsAppendedAtOnceAreAcknowledgedEachOnItsOwn(t *testing.T) {
	t.Parallel()
	j, arrived, _ := divided(t, newApplier(nil))
	w := j.writer.Load()
	records := make([]wallet.Record, 10)
	for i := range records {
		records[i] = operations(deposit(w.in(int32(i%2)), 2))
		records[i].Attempt = 1
	}
	go func() { // its time to acknowledge passes
		<-arrived
		w.writers[0].mu.Lock()
		defer w.writers[0].mu.Unlock()
		w.writers[0].giveUp()
	}()
	receipts, err := j.Append(records...)
	if !errors.Is(err, wallet.ErrUnacknowledged) && !errors.Is(err, wallet.ErrNotJournaled) {
		t.Error(err)
	}
	for i, r := range receipts {
		if r.Known() != (i%2 == 1) {
			t.Errorf("record %d of partition %d: %+v", i, i%2, r)
		}
	}
}
