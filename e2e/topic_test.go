package e2e_test

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func (s *stack) produce(records ...*kgo.Record) {
	s.t.Helper()
	if err := s.kafkaAPI.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

func TestPoisonIsBuriedAndTheRestApplied(t *testing.T) {
	t.Parallel()
	s := startStack(t, 2)
	ids := s.wallets(3)
	// The first letter of a replica may take longer than a request waits by default.
	l := s.start(load{wallets: ids, rate: 150, headers: []string{"Prefer", "wait=10"}})
	elapse(500 * time.Millisecond)
	poison := [][]byte{[]byte("by hand"), nil, {1, 9, 9, 9}, {1, 1, 1}, bytes.Repeat([]byte{0xff}, 5000), {2, 1, 0}}
	for p := range int32(partitions) {
		for n, value := range poison {
			key := []byte(ids[n%len(ids)].String())
			if n == 0 {
				key = []byte("no wallet")
			}
			s.produce(&kgo.Record{Topic: s.topic, Partition: p, Key: key, Value: value, Headers: []kgo.RecordHeader{{Key: "from", Value: []byte("hand")}}})
		}
	}
	elapse(time.Second)
	sends := l.stop()
	t.Log(summary(sends))
	only(t, sends, 200, 422)
	s.drained()
	letters := s.records(s.topic + ".dead-letters")
	found := map[string]int{}
	for _, r := range letters {
		place := ""
		for _, h := range r.Headers {
			switch h.Key {
			case "from":
				place += "by " + string(h.Value)
			case "walletd-partition", "walletd-offset":
				place += " " + string(h.Value)
			}
		}
		if !strings.HasPrefix(place, "by hand ") {
			t.Errorf("the headers of a dead letter are %v", r.Headers)
		}
		found[place]++
		if !containsBytes(poison, r.Value) {
			t.Errorf("a dead letter holds %q", r.Value)
		}
	}
	if want := partitions * len(poison); len(found) != want || len(letters) != want {
		t.Errorf("%d dead letters of %d places, want %d", len(letters), len(found), want)
	}
	if dead := s.replicas[0].metric("walletd_dead_letters_total") + s.replicas[1].metric("walletd_dead_letters_total"); dead != float64(partitions*len(poison)) {
		t.Errorf("the metrics count %v", dead)
	}
	s.auditAll(sends)
}

func containsBytes(all [][]byte, b []byte) bool {
	for _, x := range all {
		if bytes.Equal(x, b) {
			return true
		}
	}
	return false
}

// recreate gives the topic's name to another topic.
func (s *stack) recreate() {
	s.t.Helper()
	s.kafkaWentAway = true
	admin := kadm.NewClient(s.kafkaAPI)
	if _, err := admin.DeleteTopic(context.Background(), s.topic); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the topic is made again", func() bool {
		_, err := admin.CreateTopic(context.Background(), partitions, 1, nil, s.topic)
		return err == nil
	})
}

// stopped says whether the replica shows an operator that the journal is not the
// one the ledger follows.
func stopped(r *replica) bool {
	h, err := r.health()
	return err == nil && h.code == 200 && h.of("kafka") == "down"
}

// TestARecreatedTopicStopsItsPartitionsAndWritesGoDirect deletes the journal's topic and makes another of its name:
// nothing may be skipped in silence, and what is asked for afterwards is applied
// directly.
func TestARecreatedTopicStopsItsPartitionsAndWritesGoDirect(t *testing.T) {
	t.Parallel()
	s := startStack(t, 1)
	r, ids := s.replicas[0], s.wallets(2) // so that two of four partitions at least have no records
	for _, id := range ids {
		expect(t, r.submit(id, deposit, 100), 200)
	}
	s.drained()
	next := s.count("SELECT sum(next_offset) FROM journal_offsets")

	check := func(t *testing.T, key string) {
		t.Helper()
		for n, id := range ids {
			a := expect(t, r.submit(id, deposit, 1, "Idempotency-Key", key+strconv.Itoa(n), "Prefer", "wait=10"), 200)
			if a.doc.Operation.Origin != "direct" {
				t.Errorf("answered %v", a)
			}
		}
		if now := s.count("SELECT sum(next_offset) FROM journal_offsets"); now != next {
			t.Errorf("the ledger's offsets went from %d to %d", next, now)
		}
		for _, id := range ids {
			s.audit(id, nil)
		}
	}
	t.Run("while walletd runs", func(t *testing.T) {
		l := s.start(load{wallets: ids, rate: 100, repeat: true})
		elapse(300 * time.Millisecond)
		s.recreate()
		began := time.Now()
		eventuallySaying(t, "the replica shows it", func() bool { return stopped(r) }, func() string { h, _ := r.health(); return s.topic + " " + h.of("kafka") })
		t.Logf("shown after %s", time.Since(began).Round(time.Millisecond))
		elapse(500 * time.Millisecond)
		sends := l.stop()
		t.Log(summary(sends))
		only(t, sends, 200, 202, 422)
		h, _ := r.health()
		t.Logf("readyz: %+v", h.Components)
		next = s.count("SELECT sum(next_offset) FROM journal_offsets")
		eventually(t, "no partition is written", func() bool { return strings.Count(r.current().output(), "is not written: the topic is another") == 4 })
		ids = append(ids, s.wallets(8)...) // of all partitions
		check(t, "running-")
		// What was accepted with 202 and went with the old topic is lost with it; nothing
		// may have been accepted into the new one.
		if pending := pendingFor(s, sends); len(pending) > 0 {
			t.Logf("%d requests were answered 202 and are not applied; the first: %v", len(pending), pending[0].answer)
		}
		for p, end := range s.ends() {
			if end > 0 {
				t.Errorf("partition %d of the new topic has %d records, which nobody applies", p, end)
			}
		}
	})
	t.Run("while walletd is stopped", func(t *testing.T) {
		r.terminate()
		s.recreate()
		r.start()
		began := time.Now()
		eventually(t, "the replica shows it", func() bool { return stopped(r) })
		t.Logf("shown after %s", time.Since(began).Round(time.Millisecond))
		check(t, "stopped-")
	})
}

// pendingFor returns the sends that were accepted and are not in the ledger.
func pendingFor(s *stack, sends []*send) (pending []*send) {
	have := map[string]bool{}
	seen := map[uuid.UUID]bool{}
	for _, x := range sends {
		if !seen[x.wallet] {
			seen[x.wallet] = true
			for _, op := range s.replicas[0].history(s.t, x.wallet) {
				have[op.OperationID] = true
			}
		}
		if x.answer.code == 202 && !have[x.id()] {
			pending = append(pending, x)
		}
	}
	return pending
}
