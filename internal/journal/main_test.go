package journal

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// Waiting is the same in all packages.
var eventually = embeddedtest.Eventually

const patience = embeddedtest.Patience

// fakeLedger remembers the topic it follows; while err is set it does not answer.
type fakeLedger struct {
	mu    sync.Mutex
	topic wallet.Topic
	next  map[int32]int64
	err   error
	asked int
}

func (l *fakeLedger) Followed(context.Context) (wallet.Topic, map[int32]int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	applied := maps.Clone(l.next)
	if applied == nil {
		applied = map[int32]int64{}
	}
	return l.topic, applied, l.err
}

func (l *fakeLedger) Follow(_ context.Context, t wallet.Topic) (wallet.Topic, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && l.topic.ID == uuid.Nil {
		l.topic = t
	}
	return l.topic, l.err
}

func (l *fakeLedger) set(topic wallet.Topic, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.topic, l.err = topic, err
}

func (l *fakeLedger) follows() wallet.Topic {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.topic
}

// fakeApplier keeps what the journal tells it, and offsets as a ledger does: what
// was fetched counts as applied. Appliers that share kept offsets are replicas.
type fakeApplier struct {
	kept    *offsets
	idle    func(context.Context) bool
	changed chan struct{} // holds a token after each change

	mu         sync.Mutex
	owned      map[int32]bool
	fetched    []wallet.Record
	acked      []wallet.Record
	halted     map[int32]error
	assigned   int
	replaced   int
	truncated  []loss
	recovering bool
	pauses     bool // Fetched says to pause

	delivered [][]wallet.Record // what came together
}

// offsets are a ledger's: for each partition the next.
type offsets struct {
	mu   sync.Mutex
	next map[int32]int64
}

func newApplier(kept *offsets) *fakeApplier {
	if kept == nil {
		kept = &offsets{next: map[int32]int64{}}
	}
	return &fakeApplier{kept: kept, changed: make(chan struct{}, 1), owned: map[int32]bool{}, halted: map[int32]error{}}
}

func (a *fakeApplier) change(f func()) {
	a.mu.Lock()
	f()
	a.mu.Unlock()
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

func (a *fakeApplier) Assigned(_ context.Context, _ uuid.UUID, p int32) (int64, error) {
	a.change(func() { a.owned[p] = true; a.assigned++ })
	a.kept.mu.Lock()
	defer a.kept.mu.Unlock()
	return a.kept.next[p], nil
}

func (a *fakeApplier) Revoked(p int32) {
	a.change(func() { delete(a.owned, p); delete(a.halted, p) })
}

func (a *fakeApplier) Halt(p int32, err error) {
	a.change(func() { delete(a.owned, p); a.halted[p] = err })
}

// Fetched takes a record if the kept offset is where it stands, as the ledger's
// fence does; others are dropped.
func (a *fakeApplier) Fetched(p int32, records []wallet.Record) bool {
	var taken []wallet.Record
	a.kept.mu.Lock()
	for _, r := range records {
		if r.Receipt.Offset == a.kept.next[p] {
			taken = append(taken, r)
			a.kept.next[p]++
		}
	}
	a.kept.mu.Unlock()
	a.change(func() { a.fetched = append(a.fetched, taken...) })
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.pauses
}

func (a *fakeApplier) MayFetch(int32) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.pauses
}

func (a *fakeApplier) AwaitIdle(ctx context.Context) bool {
	a.mu.Lock()
	idle := a.idle
	a.mu.Unlock()
	return idle == nil || idle(ctx)
}

func (a *fakeApplier) Acknowledged(rec wallet.Record) {
	a.change(func() { a.acked = append(a.acked, rec) })
}

func (a *fakeApplier) JournalReplaced() { a.change(func() { a.replaced++ }) }

func (a *fakeApplier) JournalTruncated(partition int32, end, acknowledged int64) {
	a.change(func() { a.truncated = append(a.truncated, loss{partition, end, acknowledged}) })
}

// loss is what a partition has lost: from end on, of what is before acknowledged.
type loss struct {
	partition         int32
	end, acknowledged int64
}

func (a *fakeApplier) Recovering() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.recovering
}

func (a *fakeApplier) Delivered(partition int32) int64 {
	a.kept.mu.Lock()
	defer a.kept.mu.Unlock()
	return a.kept.next[partition]
}

func (a *fakeApplier) Deliver(records ...wallet.Record) {
	a.change(func() { a.delivered = append(a.delivered, slices.Clone(records)) })
}

func (a *fakeApplier) Offsets() map[int32]int64 {
	a.mu.Lock()
	owned := maps.Clone(a.owned)
	a.mu.Unlock()
	a.kept.mu.Lock()
	defer a.kept.mu.Unlock()
	out := map[int32]int64{}
	for p := range owned {
		out[p] = a.kept.next[p]
	}
	return out
}

// until waits until ok says so of the applier, which is locked meanwhile.
func (a *fakeApplier) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		a.mu.Lock()
		done := ok()
		a.mu.Unlock()
		if done {
			return
		}
		select {
		case <-a.changed:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// seen returns the operations that were fetched, in order.
func (a *fakeApplier) seen() (ops []wallet.Operation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.fetched {
		ops = append(ops, r.Operations...)
	}
	return ops
}

// acknowledged returns what was acknowledged so far.
func (a *fakeApplier) acknowledged() []wallet.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.acked)
}

// together returns what was delivered together so far.
func (a *fakeApplier) together() [][]wallet.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.delivered)
}

var topics struct {
	mu sync.Mutex
	n  int
}

// testConfig is of a topic of the test's own.
func testConfig(brokers []string) Config {
	topics.mu.Lock()
	defer topics.mu.Unlock()
	topics.n++
	name := fmt.Sprintf("journal-%d", topics.n)
	return Config{
		Brokers: brokers, Topic: name, Group: name, Partitions: 1, Replication: 1,
		AckTimeout: 10 * time.Second, RequestTimeout: 3 * time.Second, SessionTimeout: 6 * time.Second,
		Replica: uuid.New(), Log: slog.New(slog.DiscardHandler),
	}
}

// started is a journal that begins to meet its topic, until the test ends.
func started(t *testing.T, cfg Config, l *fakeLedger, a *fakeApplier) *Journal {
	t.Helper()
	j, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	j.Start(l, a)
	t.Cleanup(j.Close)
	return j
}

// met is started, once the topic is written and read.
func met(t *testing.T, cfg Config, l *fakeLedger, a *fakeApplier) *Journal {
	t.Helper()
	j := started(t, cfg, l, a)
	a.until(t, "all partitions are assigned", func() bool { return len(a.owned) == int(cfg.Partitions) })
	return j
}

// readerOf returns the journal's reader once it has one; partitions may be assigned before.
func readerOf(t *testing.T, j *Journal) *reader {
	t.Helper()
	eventually(t, "it is read", func() bool { return j.reader.Load() != nil })
	return j.reader.Load()
}

// metFour is met with a topic of four partitions.
func metFour(t *testing.T) (*kfake.Cluster, *fakeApplier, *Journal) {
	t.Helper()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	cfg := testConfig(broker.ListenAddrs())
	cfg.Partitions = 4
	return broker, a, met(t, cfg, &fakeLedger{}, a)
}

// deposit is an operation of a wallet; its amount tells it apart.
func deposit(walletID uuid.UUID, amount wallet.Amount) wallet.Operation {
	return wallet.Operation{ID: uuid.New(), WalletID: walletID, Type: wallet.Deposit, Amount: amount, AcceptedAt: time.UnixMicro(1_700_000_000_000_000 + int64(amount)).UTC(), Receipt: wallet.NoReceipt}
}

// operations is a record as Write makes it.
func operations(ops ...wallet.Operation) wallet.Record {
	return wallet.Record{Kind: wallet.KindOperations, WalletID: ops[0].WalletID, Operations: ops}
}

// client is a Kafka client of the test's own.
func client(t *testing.T, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// content reads the first n records of a partition.
func content(t *testing.T, brokers []string, topic string, p int32, n int) (records []*kgo.Record) {
	t.Helper()
	c := client(t, brokers, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p: kgo.NewOffset().AtStart()}}))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(records) < n {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("%d of %d records read: %v", len(records), n, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// memoryLog keeps what is logged.
type memoryLog struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func newLog() *memoryLog { return &memoryLog{} }

func (l *memoryLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(b)
}

func (l *memoryLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

func (l *memoryLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// put writes an operation and waits for its receipt.
func (j *Journal) put(op wallet.Operation) (wallet.Receipt, error) {
	rec := wallet.Record{Kind: wallet.KindOperations, WalletID: op.WalletID, Operations: []wallet.Operation{op}, Replica: j.config.Replica}
	receipts, err := j.Append(rec)
	return receipts[0], err
}
