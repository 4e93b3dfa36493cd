package journal

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// requests counts the partitions of each produce request from now on.
func requests(c *kfake.Cluster) func() []int {
	var mu sync.Mutex
	var sizes []int
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, t := range r.(*kmsg.ProduceRequest).Topics {
			n += len(t.Partitions)
		}
		sizes = append(sizes, n)
		return nil, nil, false
	})
	return func() []int {
		mu.Lock()
		defer mu.Unlock()
		return sizes
	}
}

// in returns a new wallet of the partition.
func (w *topicWriter) in(partition int32) uuid.UUID {
	for {
		if id := uuid.New(); PartitionAmong(id, w.topic.Partitions) == partition {
			return id
		}
	}
}

func TestWhatWaitsAtSeveralPartitionsGoesInOneRequest(t *testing.T) {
	t.Parallel()
	broker, _, j := metFour(t)
	w := j.writer.Load()
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil { // the client has met the broker
		t.Fatal(err)
	}
	// A flush of the client that has not returned yet would send each partition at once.
	eventually(t, "the client pollPace", func() bool { return !w.pushing.Load() && w.client.Load().BufferedProduceRecords() == 0 })
	sizes := requests(broker)
	var answered sync.WaitGroup
	for p := range j.config.Partitions {
		answered.Add(1)
		rec := operations(deposit(w.in(p), 2))
		over(t, w.writers[p])
		w.writers[p].mu.Lock()
		w.writers[p].waiting = append(w.writers[p].waiting, &entry{rec: rec, done: func(_ wallet.Receipt, err error) {
			if err != nil {
				t.Error(err)
			}
			answered.Done()
		}})
		w.writers[p].mu.Unlock()
	}
	<-w.startWave(j.ctx).over
	answered.Wait()
	if got := sizes(); len(got) != 1 || got[0] != int(j.config.Partitions) {
		t.Errorf("partitions by request: %v, want all %d in one", got, j.config.Partitions)
	}
}

// What is acknowledged of a wave is delivered as one, so that it can be applied so. One
// whose broker is late, on a busy machine, comes in parts; not each time.
func TestWhatAWaveBringsIsDeliveredTogether(t *testing.T) {
	t.Parallel()
	_, a, j := metFour(t)
	w := j.writer.Load()
	for waves := 1; waves <= 50; waves++ {
		before := len(a.together())
		for p := range j.config.Partitions {
			over(t, w.writers[p])
			for n := range 2 {
				w.writers[p].mu.Lock()
				w.writers[p].waiting = append(w.writers[p].waiting, &entry{rec: operations(deposit(w.in(p), wallet.Amount(n+1))), done: func(wallet.Receipt, error) {}})
				w.writers[p].mu.Unlock()
			}
		}
		<-w.startWave(j.ctx).over
		a.until(t, "the wave is delivered", func() bool { return len(slices.Concat(a.delivered...)) == 2*waves*int(j.config.Partitions) })
		together := a.together()[before:]
		if len(together) > 1 {
			continue
		}
		for i, rec := range together[0] {
			if rec.Receipt.Offset != int64(2*(waves-1)+i%2) || rec.Receipt.Partition != together[0][i-i%2].Receipt.Partition {
				t.Errorf("place %d is partition %d, offset %d", i, rec.Receipt.Partition, rec.Receipt.Offset)
			}
		}
		return
	}
	t.Fatalf("no wave was delivered as one: %v", a.together())
}

// What arrives while earlier records are being applied shares one record.
func TestAWaveGathersWhileEarlierRecordsAreApplied(t *testing.T) {
	t.Parallel()
	a, asked, applied := newApplier(nil), make(chan struct{}, 10), make(chan struct{})
	a.idle = func(context.Context) bool {
		asked <- struct{}{}
		<-applied
		return true
	}
	j := met(t, testConfig(embeddedtest.Kfake(t).ListenAddrs()), &fakeLedger{}, a)
	id := uuid.New()
	p := j.writer.Load().writers[j.PartitionOf(id)]
	first := begun(t, j, p, operations(deposit(id, 1)))
	taken(t, asked, "the wave waits for what is being applied")
	second := begun(t, j, p, operations(deposit(id, 2)))
	close(applied)
	one, two := ended(t, first), ended(t, second)
	if one.err != nil || two.err != nil || one.receipt != two.receipt {
		t.Errorf("got %v and %v, want one record for both", one, two)
	}
}

// A wave with enough for a partition gains nothing by waiting for what is being applied, and
// that it did not wait is no sign of a ledger that is away. What is spread over partitions is
// not enough, nor what has to wait for the partition's last flush anyway.
func TestAWaveDoesNotWaitWhenAPartitionHasEnough(t *testing.T) {
	const later = maxGather / 5
	for name, c := range map[string]struct {
		waiting [2]int // operations, of two partitions
		flying  bool   // a flush of the first is under way
		lands   bool   // that flush, later
		added   int    // to the first, later
		want    time.Duration
	}{
		"one has":                   {waiting: [2]int{0, gatherEnough}},
		"one gets it":               {waiting: [2]int{gatherEnough - 1, 1}, added: 1, want: later},
		"none has":                  {waiting: [2]int{gatherEnough - 2, gatherEnough - 1}, added: 1, want: maxGather},
		"its flush is under way":    {waiting: [2]int{gatherEnough, 1}, flying: true, want: maxGather},
		"it, and gets more":         {waiting: [2]int{gatherEnough, 1}, flying: true, added: 1, want: maxGather},
		"its flush lands":           {waiting: [2]int{gatherEnough, 1}, flying: true, lands: true, want: later},
		"it lands to fewer":         {waiting: [2]int{gatherEnough - 1, 1}, flying: true, lands: true, want: maxGather},
		"flushed since it had that": {added: gatherEnough - 1, want: maxGather},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newApplier(nil)
			a.idle = func(ctx context.Context) bool { <-ctx.Done(); return false }
			w := &topicWriter{applier: a, ready: make(chan struct{}, 1)}
			add := func(p *partitionWriter, operations int) {
				for range operations {
					d, err := p.add(&entry{rec: wallet.Record{Operations: make([]wallet.Operation, 1)}})
					if err != nil {
						t.Error(err)
					}
					w.demanded(d)
				}
			}
			for _, waiting := range c.waiting {
				p := &partitionWriter{ackTimeout: time.Hour}
				w.writers = append(w.writers, p)
				add(p, gatherEnough)
				p.take()
				p.landed()
				add(p, waiting)
			}
			if c.flying {
				w.writers[0].flying = []*entry{{}}
			}
			time.AfterFunc(later, func() {
				add(w.writers[0], c.added)
				if c.lands {
					w.demanded(w.writers[0].landed())
				}
			})
			began := time.Now()
			w.gather(t.Context())
			if took := time.Since(began); took != c.want {
				t.Errorf("%s: waited %v, want %v", name, took, c.want)
			}
			if inVain := !w.gatherFrom.IsZero(); inVain != (c.want == maxGather) {
				t.Errorf("%s: the next waves wait: %t", name, !inVain)
			}
		})
	}
}

// Nor does a ledger that is away keep each wave back until it has enough.
func TestWavesThatGetEnoughWaitNoLongerInAllThanOne(t *testing.T) {
	for name, c := range map[string]struct {
		caughtUp int // the ledger has, when that wave begins
		want     time.Duration
	}{
		"away":                      {caughtUp: -1, want: maxGather},
		"away, and back for a wave": {caughtUp: 2, want: 2*maxGather/5 + maxGather},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, idle := newApplier(nil), false
			a.idle = func(ctx context.Context) bool {
				if !idle {
					<-ctx.Done()
				}
				return idle
			}
			w := &topicWriter{applier: a}
			began := time.Now()
			for wave := range 20 {
				idle = wave == c.caughtUp
				enough := time.AfterFunc(maxGather/5, w.enough)
				w.gather(t.Context())
				enough.Stop()
			}
			if took := time.Since(began); took != c.want {
				t.Errorf("%s: the waves have waited %v, want %v", name, took, c.want)
			}
			time.Sleep(gatherAgain)
			began = time.Now()
			if w.gather(t.Context()); time.Since(began) != maxGather {
				t.Errorf("%s: a wave has waited %v a second later", name, time.Since(began))
			}
		})
	}
}

// A ledger that is away must not keep operations from being accepted: one wave waits
// for it, the next ones only look whether it is back, for a second.
func TestOneWaveWaitsForALedgerThatIsAway(t *testing.T) {
	t.Parallel()
	a := newApplier(nil)
	var away atomic.Bool
	away.Store(true)
	waited := make(chan bool, 10)
	a.idle = func(ctx context.Context) bool {
		waited <- ctx.Err() == nil
		if !away.Load() {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(patience):
			t.Error("the wave waits for as long as it takes")
		}
		return false
	}
	j := met(t, testConfig(embeddedtest.Kfake(t).ListenAddrs()), &fakeLedger{}, a)
	away.Store(false)
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil { // the client has met the broker: what follows is within gatherAgain
		t.Fatal(err)
	}
	<-waited
	for n, want := range []bool{true, false, false, true} {
		away.Store(n < 2) // the third finds that it is back, and the fourth may wait again
		if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
			t.Errorf("write %d: %v", n, err)
		}
		if got := <-waited; got != want {
			t.Errorf("write %d waits for the ledger: %t", n, got)
		}
	}
}

// divided is a journal of two partitions with a broker each. Produce requests to the
// first are held, once they have arrived, until the release.
func divided(t *testing.T, a *fakeApplier) (j *Journal, arrived <-chan struct{}, release func()) {
	t.Helper()
	broker := embeddedtest.Kfake(t, kfake.NumBrokers(2))
	cfg := testConfig(broker.ListenAddrs())
	cfg.Partitions = 2
	j = met(t, cfg, &fakeLedger{}, a)
	for p := range cfg.Partitions {
		if err := broker.MoveTopicPartition(cfg.Topic, p, p); err != nil {
			t.Fatal(err)
		}
	}
	for p := range cfg.Partitions { // each is known to its leader
		if _, err := j.put(deposit(j.writer.Load().in(p), 1)); err != nil {
			t.Fatal(err)
		}
	}
	held, released := make(chan struct{}, 10), make(chan struct{})
	broker.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		if r.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Partition == 0 {
			held <- struct{}{}
			broker.SleepControl(func() { <-released })
		}
		return nil, nil, false
	})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	return j, held, release
}

// A broker that does not answer holds up its own partitions only.
func TestAPartitionThatIsNotAnsweredHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	j, arrived, release := divided(t, newApplier(nil))
	w := j.writer.Load()
	stuck := begun(t, j, w.writers[0], operations(deposit(w.in(0), 2)))
	taken(t, arrived, "the partition's flush is under way")
	for n := range 3 {
		if _, err := j.put(deposit(w.in(1), 2)); err != nil {
			t.Errorf("write %d to the other partition: %v", n, err)
		}
	}
	release()
	if r := ended(t, stuck); r.err != nil {
		t.Error(r.err)
	}
}

// Nor does it keep what the same wave brought elsewhere from being applied.
func TestAFlushThatIsNotAnsweredKeepsNoneOfItsWaveFromTheApplier(t *testing.T) {
	t.Parallel()
	a, gathered := newApplier(nil), make(chan struct{})
	j, arrived, release := divided(t, a)
	a.until(t, "what came before is delivered", func() bool { return len(a.delivered) == int(j.config.Partitions) })
	w, before := j.writer.Load(), len(a.together())
	a.mu.Lock()
	a.idle = func(context.Context) bool { <-gathered; return true }
	a.mu.Unlock()
	stuck := begun(t, j, w.writers[0], operations(deposit(w.in(0), 2)))
	other := begun(t, j, w.writers[1], operations(deposit(w.in(1), 2)))
	close(gathered)
	taken(t, arrived, "the partition's flush is under way")
	if r := ended(t, other); r.err != nil {
		t.Fatal(r.err)
	}
	delivered := func(n int, partition int32) func() bool {
		return func() bool {
			return len(a.delivered) == before+n && a.delivered[before+n-1][0].Receipt.Partition == partition
		}
	}
	a.until(t, "the other's record is delivered", delivered(1, 1))
	release()
	if r := ended(t, stuck); r.err != nil {
		t.Error(r.err)
	}
	a.until(t, "the late record is delivered", delivered(2, 0))
}

// What the reader brings of this replica's own during a wave is a part of it, which is
// better applied as a whole; what it brings of others is not.
func TestTheReaderStepsBehindAWaveUnderWayWithItsOwnRecords(t *testing.T) {
	t.Parallel()
	broker, a := embeddedtest.Kfake(t), newApplier(nil)
	j := met(t, testConfig(broker.ListenAddrs()), &fakeLedger{}, a)
	v := newWave(a.Deliver)
	v.late.Stop() // it ends when the test says so
	j.writer.Load().wave.Store(v)
	for n, replica := range []uuid.UUID{uuid.New(), j.config.Replica} {
		cfg := j.config
		cfg.Replica = replica
		other := started(t, cfg, &fakeLedger{}, newApplier(a.kept))
		if _, err := other.put(deposit(uuid.New(), 1)); err != nil {
			t.Fatal(err)
		}
		if replica == j.config.Replica {
			time.AfterFunc(maxWave, v.giveUp)
		}
		a.until(t, "the record is delivered", func() bool { return len(a.fetched) == n+1 })
		select {
		case <-v.over:
			if n == 0 {
				t.Error("another replica's record waited for the wave")
			}
		default:
			if n == 1 {
				t.Error("an own record was delivered during the wave")
			}
		}
	}
}

// landing is a wave on a clock of its own, with an applier that notes what it is given.
func landing(t *testing.T, flushes int, does func(v *wave, since func() time.Duration, delivered func() []int)) {
	synctest.Test(t, func(t *testing.T) {
		a := newApplier(nil)
		v, began := newWave(a.Deliver), time.Now()
		for range flushes {
			v.join()
		}
		does(v, func() time.Duration { return time.Since(began) }, func() (sizes []int) {
			for _, records := range a.together() {
				sizes = append(sizes, len(records))
			}
			return sizes
		})
	})
}

// A broker that is slower than the others does not hold up what they have acknowledged
// for longer than they took, or a moment.
func TestAWaveWaitsForWhoIsLateAsLongAsTheFirstTookOnceMore(t *testing.T) {
	for first, want := range map[time.Duration]time.Duration{
		0:               minWave,
		minWave / 2:     minWave/2 + minWave,
		2 * minWave:     4 * minWave,
		3 * maxWave / 4: maxWave,
	} {
		landing(t, 2, func(v *wave, since func() time.Duration, delivered func() []int) {
			time.Sleep(first)
			v.landed(nil) // refused: nobody waits for others for its sake
			v.join()
			v.landed(make([]wallet.Record, 3))
			<-v.over
			if took := since(); took != want || !slices.Equal(delivered(), []int{3}) {
				t.Errorf("first after %v: over after %v with %v delivered, want %v", first, took, delivered(), want)
			}
		})
	}
}

// Nothing may wait until the slowest of its wave is answered, which may hang.
func TestWhatLandsLateIsDeliveredAtOnce(t *testing.T) {
	landing(t, 4, func(v *wave, since func() time.Duration, delivered func() []int) {
		v.landed(make([]wallet.Record, 1))
		<-v.over
		v.landed(make([]wallet.Record, 2))
		v.landed(nil)
		if !slices.Equal(delivered(), []int{1, 2}) {
			t.Errorf("delivered %v", delivered())
		}
		v.landed(make([]wallet.Record, 3))
		if !slices.Equal(delivered(), []int{1, 2, 3}) {
			t.Errorf("delivered %v at the end", delivered())
		}
	})
}

func TestAWaveWithoutAnAnswerIsGivenUp(t *testing.T) {
	landing(t, 1, func(v *wave, since func() time.Duration, _ func() []int) {
		<-v.over
		if took := since(); took != maxWave {
			t.Errorf("over after %v", took)
		}
	})
}

// learning stops the client where it has given a record to a partition that it has
// just learnt of, and everybody else does not see that partition yet.
type learning struct{ arrived, release chan struct{} }

func (l learning) OnProduceRecordPartitioned(*kgo.Record, int32) {
	close(l.arrived)
	<-l.release
}

// waiting says when somebody begins to wait for its end, which a flush does once it
// has looked at all partitions.
type waiting struct {
	context.Context
	begun chan struct{}
	once  sync.Once
}

func (w *waiting) Done() <-chan struct{} {
	w.once.Do(func() { close(w.begun) })
	return w.Context.Done()
}

// If it is the only one, nothing else would have it sent.
func TestARecordIsSentWhosePartitionTheClientLearnsWhileItIsPushed(t *testing.T) {
	t.Parallel()
	cfg := testConfig(embeddedtest.Kfake(t, kfake.SeedTopics(1, "learnt")).ListenAddrs())
	l := learning{make(chan struct{}), make(chan struct{})}
	client, err := kgo.NewClient(append(producerOptions(cfg), kgo.WithHooks(l))...)
	if err != nil {
		t.Fatal(err)
	}
	w := &topicWriter{cancel: func() {}}
	w.client.Store(client)
	t.Cleanup(w.close)
	answered := make(chan error, 1)
	client.TryProduce(t.Context(), &kgo.Record{Topic: "learnt"}, func(_ *kgo.Record, err error) { answered <- err })
	taken(t, l.arrived, "the partition is learnt")
	waits := &waiting{t.Context(), make(chan struct{}), sync.Once{}}
	w.push(waits)
	taken(t, waits.begun, "the push has looked at all partitions: at none")
	close(l.release)
	select {
	case err = <-answered:
	case <-time.After(patience / 4): // in a minute the client looks at all partitions anew
		err = errors.New("nobody sends it")
	}
	if err != nil {
		t.Error(err)
	}
}
