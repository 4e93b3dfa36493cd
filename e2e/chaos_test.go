//go:build chaos

package e2e_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

var (
	chaosSeed   = flag.Uint64("chaos.seed", 0, "the schedule's seed; 0 draws one and prints it")
	chaosNames  = flag.String("chaos.faults", "short", "short, all, or faults by name, separated by commas")
	chaosFor    = flag.Duration("chaos.for", 0, "then, for so long, faults drawn at random, two at a time")
	chaosRate   = flag.Int("chaos.rate", 1000, "requests a second on one wallet")
	chaosOthers = flag.Int("chaos.others", 200, "requests a second on many others")
	chaosLogs   = flag.String("chaos.logs", "", "write the replicas' logs into this directory, each time a fault is over")
	chaosJSON   = flag.String("chaos.json", "", "write the rows into this file too")
)

// chaosShort is what CI runs.
var chaosShort = []string{"replica-kill", "postgres-kill", "postgres-disk-full", "kafka-cut", "redis-empty", "redis-freeze", "kafka-leader-kill"}

const (
	manyWallets  = 60
	calmWithin   = 40 * time.Second // for the load to begin well
	recoverySoon = 20 * time.Second // for it to be as before after a fault
)

// TestChaos injects faults under load, in an order that the seed gives, and checks
// every promise after each.
func TestChaos(t *testing.T) {
	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	t.Logf("-chaos.seed=%d", seed)
	report := &report{Seed: seed, Rate: *chaosRate, Others: *chaosOthers}
	defer report.show()
	chosen, last := chosenFaults(t)
	for _, brokers := range []int{1, 3} {
		random := rand.New(rand.NewPCG(seed, uint64(brokers)))
		faults := slices.DeleteFunc(slices.Clone(chosen), func(c chaos) bool { return max(c.brokers, 1) != brokers })
		random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		if len(faults) == 0 && (brokers > 1 || !last) {
			continue
		}
		t.Run(fmt.Sprintf("brokers=%d", brokers), func(t *testing.T) {
			r := newRig(t, brokers)
			for _, c := range faults {
				t.Run(c.name, func(t *testing.T) { report.add(t, r.suffer(t, random, c)) })
			}
			if brokers == 1 && last {
				defer t.Run(topicRecreated, func(t *testing.T) { report.add(t, r.loseTopic(t, random)) })
			}
			for until := time.Now().Add(*chaosFor); time.Now().Before(until); {
				pair := drawPair(random, brokers)
				t.Run(pair[0].name+"+"+pair[1].name, func(t *testing.T) { report.add(t, r.suffer(t, random, pair...)) })
			}
		})
	}
}

// chosenFaults returns what the flags ask for, and whether the topic is to be lost in
// the end.
func chosenFaults(t *testing.T) (chosen []chaos, last bool) {
	names := strings.Split(*chaosNames, ",")
	if *chaosNames == "short" {
		names = chaosShort
	}
	known := map[string]bool{"all": true, topicRecreated: true}
	for _, c := range chaosFaults() {
		known[c.name] = true
		if *chaosNames != "all" && !slices.Contains(names, c.name) {
			continue
		}
		if c.root && os.Geteuid() != 0 {
			t.Logf("NOT RUN, for want of root: %s", c.name)
			continue
		}
		chosen = append(chosen, c)
	}
	for _, name := range names {
		if !known[name] {
			t.Fatalf("-chaos.faults: there is no fault %q", name)
		}
	}
	return chosen, *chaosNames == "all" || slices.Contains(names, topicRecreated)
}

// drawPair draws two faults of different components.
func drawPair(random *rand.Rand, brokers int) []chaos {
	all := slices.DeleteFunc(chaosFaults(), func(c chaos) bool {
		return c.lasts == 0 || c.lasts == outlasts || c.double() || c.root && os.Geteuid() != 0 || c.brokers != 0 && c.brokers != brokers
	})
	for {
		a, b := all[random.IntN(len(all))], all[random.IntN(len(all))]
		if a.of != b.of {
			return []chaos{a, b}
		}
	}
}

// suffer puts load on, strikes with the faults, heals them, waits until all is as
// before, and checks everything that was promised.
func (r *rig) suffer(t *testing.T, random *rand.Rand, faults ...chaos) *row {
	defer r.as(t)()
	names := make([]string, len(faults))
	for i, c := range faults {
		names[i] = c.name
	}
	row, load, witnessed, stop := r.underLoad(t, strings.Join(names, "+"), random)
	defer stop()
	guard, stalled := r.watchComponents(), stall()
	r.strikeAll(t, faults)
	healed := time.Now()
	calmed := load.pulse.settle(healed, recoverySoon)
	row.healed, row.Recovery = calmed, max(0, calmed.Sub(healed))
	row.Pressure = int(100 * (stall() - stalled) / time.Since(row.began))
	row.Also = guard.stop(faults...)
	sends := stop()
	row.count(load)
	r.writeLogs(t)
	r.judge(t, row, load, sends, faults)
	witnessed.judge(t, r)
	return row
}

// underLoad starts load on new wallets and returns when it is well under way. stop
// ends it and returns all that was sent.
func (r *rig) underLoad(t *testing.T, name string, random *rand.Rand) (*row, *storm, *testimony, func() []*send) {
	t.Helper()
	row := &row{Fault: name, began: time.Now()}
	ids := r.wallets(1 + manyWallets + witnessWallets)
	r.hot = ids[witnessWallets]
	load := &storm{
		balancer: r.balancer, onlookers: onlook(r.balancer, ids[witnessWallets:], random), hot: *chaosRate, others: *chaosOthers, ids: ids[witnessWallets:],
		random: rand.New(rand.NewPCG(random.Uint64(), 0)), name: uuid.NewString(),
	}
	r.balancer.forget()
	load.start()
	witnessed := testify(r.balancer, ids[:witnessWallets], random)
	stop := sync.OnceValue(func() []*send {
		load.onlookers.stop()
		return append(load.stop(), witnessed.stop()...)
	})
	load.pulse.settle(load.pulse.began, calmWithin)
	elapse(time.Duration(random.Int64N(int64(beat)))) // strike at any point of what goes on in turns
	return row, load, witnessed, stop
}

// strikeAll strikes with one fault after the other and heals them when the last has
// lasted. Who needs the ledger to find its victim comes first.
func (r *rig) strikeAll(t *testing.T, faults []chaos) {
	first := []string{"replica", "broker", "redis", "kafka", "postgres"}
	slices.SortFunc(faults, func(a, b chaos) int { return slices.Index(first, a.of) - slices.Index(first, b.of) })
	for _, c := range faults {
		struck := time.Now()
		heal := r.strike(t, c)
		defer heal()
		if left := c.lasts - time.Since(struck); left > 0 {
			elapse(left)
		}
	}
}
