// Package journal keeps the received operations in Kafka, keyed by wallet: it
// writes records, acknowledged by all in-sync replicas, and reads the partitions
// that this replica owns. All use of the Kafka client is here.
package journal

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/walletd/walletd/internal/breaker"
	"github.com/walletd/walletd/internal/wallet"
)

// Config says where the journal is.
type Config struct {
	Brokers     []string
	TLS         *tls.Config    // nil: without
	SASL        sasl.Mechanism // nil: without
	Topic       string
	Group       string // consumer group that shares out the partitions
	Partitions  int32  // of a topic to be created
	Replication int16  // of a topic to be created

	AckTimeout     time.Duration // after which an unacknowledged record is unknown
	RequestTimeout time.Duration // of administrative requests
	SessionTimeout time.Duration // after which the partitions of a dead replica move
	Replica        uuid.UUID     // this replica, noted in its records

	Log *slog.Logger
}

// Journal is the Kafka journal. Safe for concurrent use.
type Journal struct {
	config    Config
	applier   Applier
	client    *kgo.Client // asks; who writes and who reads have their own
	admin     *kadm.Client
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	meeting   sync.WaitGroup // whoever meets the topic, and leaves it
	running   sync.WaitGroup
	closeOnce sync.Once

	letters             atomic.Pointer[kgo.Client] // writes dead letters
	lettersFailed       atomic.Bool                // mend is to look why
	lettersTopicUnknown atomic.Bool                // their client has heard that their topic is another one

	leaders    leaders
	finding    chan struct{}               // a place for each look-up under way
	brokers    *breaker.Breaker            // do they answer, also when nobody writes
	writer     atomic.Pointer[topicWriter] // nil until the topic was met
	begun      chan struct{}               // closed when it was, or cannot be met for now
	closeBegun func()                      // closes begun
	reader     atomic.Pointer[reader]      // nil until the ledger agreed on the topic
	gap        chan struct{}               // holds one: the reader has something to fetch
}

// Open prepares a journal. It does not connect: Kafka may be absent.
func Open(cfg Config) (*Journal, error) {
	client, err := kgo.NewClient(clientOptions(cfg)...)
	if err != nil {
		return nil, fmt.Errorf("prepare the journal: %w", err)
	}
	letters, err := deadLetterClient(cfg)
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("prepare the journal: %w", err)
	}
	j := &Journal{config: cfg, client: client, admin: kadm.NewClient(client), finding: make(chan struct{}, maxLookUps), begun: make(chan struct{}), gap: make(chan struct{}, 1)}
	j.letters.Store(letters)
	j.closeBegun = sync.OnceFunc(func() { close(j.begun) })
	j.brokers = breaker.New(breaker.Config{Name: "Kafka", Probe: client.Ping, Interval: time.Second, Timeout: cfg.RequestTimeout, Log: cfg.Log})
	j.ctx, j.cancel = context.WithCancel(context.Background())
	return j, nil
}

// The pauses of the Kafka client.
const (
	metadataMinAge = 250 * time.Millisecond // between two looks for leaders, at least
	metadataMaxAge = 2 * time.Second        // at most, since a deposed leader that does not know it, being cut off, answers a fetch with nothing, and no error
	retryPause     = 250 * time.Millisecond // before a request is sent again
)

func clientOptions(cfg Config) []kgo.Opt {
	options := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.ClientID("walletd-" + cfg.Replica.String()),
		kgo.DialTimeout(cfg.RequestTimeout),
		kgo.RequestTimeoutOverhead(cfg.RequestTimeout),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.MetadataMaxAge(metadataMaxAge),
		kgo.RetryBackoffFn(func(int) time.Duration { return retryPause }),
		kgo.DisableClientMetrics(),
		kgo.WithLogger(clientLog{cfg.Log, &seldom{}}),
	}
	if cfg.TLS != nil {
		options = append(options, kgo.DialTLSConfig(cfg.TLS))
	}
	if cfg.SASL != nil {
		options = append(options, kgo.SASL(cfg.SASL))
	}
	return options
}

// Write journals operations of one wallet in one record: at least one and no more than
// wallet.MaxRecordOperations, or its creation alone. They must stay as they are. done is
// called once, at the latest after two AckTimeouts (the flush before, and its own; at a
// start a third, for the topic) and the waits of a wave: with the receipt once all in-sync
// replicas have the record; with ErrNotJournaled if nothing was handed over, possibly before
// Write returns; with ErrUnacknowledged if that is unknown. It holds up whoever else is
// told, so it must not wait.
func (j *Journal) Write(done func(wallet.Receipt, error), ops ...wallet.Operation) {
	rec := wallet.Record{Kind: wallet.KindOperations, WalletID: ops[0].WalletID, Operations: ops[:len(ops):len(ops)], Replica: j.config.Replica}
	if ops[0].IsCreation() {
		rec.Kind = wallet.KindCreate
	}
	j.enter(rec, done)
}

// Append journals records as they are, copies and backfills, and waits for the end
// of all, bounded as Write is. Those of one wallet keep their order. It returns the
// receipt of each; NoReceipt for what is not acknowledged, and then why.
func (j *Journal) Append(records ...wallet.Record) ([]wallet.Receipt, error) {
	receipts, errs := make([]wallet.Receipt, len(records)), make([]error, len(records))
	var told sync.WaitGroup
	told.Add(len(records))
	for i, rec := range records {
		j.enter(rec, func(r wallet.Receipt, err error) {
			receipts[i], errs[i] = r, err
			told.Done()
		})
	}
	told.Wait()
	if errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil }); len(errs) > 0 {
		return receipts, fmt.Errorf("%d of %d records: %w", len(errs), len(records), errs[0])
	}
	return receipts, nil
}

func (j *Journal) enter(rec wallet.Record, done func(wallet.Receipt, error)) {
	w := j.awaitWriter()
	if w == nil {
		done(wallet.NoReceipt, wallet.ErrNotJournaled)
		return
	}
	e := &entry{rec: rec, done: done}
	d, err := w.writers[PartitionAmong(rec.WalletID, w.topic.Partitions)].add(e)
	if err != nil {
		e.finish(wallet.NoReceipt, err)
	}
	w.demanded(d)
}

// awaitWriter returns how to write; nil if the topic was not met. At a start it waits for
// that a moment: an operation that went the direct way only because its replica has
// just begun would pass what is in the journal.
func (j *Journal) awaitWriter() *topicWriter {
	if w := j.writer.Load(); w != nil {
		return w
	}
	timer := time.NewTimer(j.config.AckTimeout)
	defer timer.Stop()
	select {
	case <-j.begun:
	case <-j.ctx.Done():
	case <-timer.C:
	}
	return j.writer.Load()
}

// closeTimeout bounds the goodbye to brokers that do not answer.
const closeTimeout = 5 * time.Second

// Close gives the partitions up, leaves the group, lets go of whoever waits and
// closes the connections, in a bounded time whether the brokers answer or not.
// Records that are not acknowledged by then may or may not get into the journal.
func (j *Journal) Close() {
	j.closeOnce.Do(func() {
		j.cancel()
		said := make(chan struct{})
		go func() {
			defer close(said)
			j.meeting.Wait() // from here on neither partition writers nor a reader are made
			if r := j.reader.Load(); r != nil {
				r.close()
			}
			j.closeWriter()
			j.letters.Load().Close()
			j.client.Close()
			j.running.Wait()
		}()
		timer := time.NewTimer(closeTimeout)
		defer timer.Stop()
		select {
		case <-said:
		case <-timer.C:
			j.config.Log.Warn("the brokers did not answer while closing")
		}
	})
}
