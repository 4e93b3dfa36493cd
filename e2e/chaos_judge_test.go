//go:build chaos

package e2e_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// replays is how many requests are sent once more with their key.
const replays = 60

// as makes t the test that the rig's faults are of, until what it returns is called.
func (r *rig) as(t *testing.T) func() {
	before := r.t
	r.t = t
	for _, replica := range r.replicas {
		replica.t, replica.killed = t, false
	}
	return func() {
		r.t = before
		for _, replica := range r.replicas {
			replica.t = before
		}
	}
}

// strike injects a fault and checks that it is felt. What it returns heals, once.
func (r *rig) strike(t *testing.T, c chaos) (heal func()) {
	t.Helper()
	began := time.Now()
	w := c.strike(t, r)
	var err error
	if !within(max(c.lasts, patience), func() bool { err = w.felt(); return err == nil }) {
		t.Errorf("%s never reached the code: %v", c.name, err)
	}
	t.Logf("%s felt %s after the strike", c.name, round(time.Since(began)))
	done := false
	return func() {
		if !done {
			done = true
			w.heal()
		}
	}
}

// judge checks every promise.
func (r *rig) judge(t *testing.T, row *row, load *storm, sends []*send, faults []chaos) {
	single := len(faults) == 1 && row.Also == ""
	if single && !faults[0].double() && row.Errors > 0 {
		only(t, load.sends, 200, 202, 422, 429)
	}
	if single && row.Recovery > recoverySoon {
		t.Errorf("%s after the fault still less than %v %% of the requests have an outcome within %s", row.Recovery, 100*fineShare, fine)
	}
	if row.NoAnswer+row.NotSent+row.Limited+row.Refusals > 0 {
		only(t, load.sends, 200, 202, 422, 500, 502, 503, 504)
		t.Errorf("no answer %d, not sent %d, 429 %d, other 4xx %d", row.NoAnswer, row.NotSent, row.Limited, row.Refusals)
	}
	for _, fault := range load.wrong {
		t.Error(fault)
	}
	r.judgeStale(t, row, load.onlookers, faults)
	r.auditAll(sends)
	r.replay(t, sends)
}

// flap is for how long after a replica missed Redis old plain reads are allowed: what
// it could not put is repaired within that time.
const flap = 5 * time.Second

// judgeStale allows old plain reads while Redis was away for somebody, and when who
// had to put the balance there was killed.
func (r *rig) judgeStale(t *testing.T, row *row, watch *onlookers, faults []chaos) {
	away := r.missedRedis(row.began)
	shown := 0
	for _, s := range watch.stale {
		allowed := slices.ContainsFunc(faults, func(c chaos) bool {
			return c.name == "replica-kill" || c.of == "redis" && s.at.Before(row.healed.Add(flap))
		}) || slices.ContainsFunc(away, func(at time.Time) bool { return s.at.After(at.Add(-flap)) && s.at.Before(at.Add(flap)) })
		if !allowed && shown < 5 {
			shown++
			t.Errorf("stale: %v", s)
		}
	}
	t.Logf("%d reads, %d of them older than what had been told; Redis was missed %d times", row.Reads, len(watch.stale), len(away))
}

// missedRedis is when replicas said, since then, that Redis is down.
func (r *rig) missedRedis(since time.Time) (all []time.Time) {
	for _, replica := range r.replicas {
		for _, l := range replica.lives {
			for line := range strings.Lines(l.output()) {
				var entry struct {
					Time time.Time
					Msg  string
				}
				if strings.Contains(line, "Redis is down") && json.Unmarshal([]byte(line), &entry) == nil && entry.Time.After(since) {
					all = append(all, entry.Time)
				}
			}
		}
	}
	return all
}

// replay repeats some of the requests, at either replica: those that were tried more
// than once first. Each gets the outcome that it had, or that it has by now.
func (r *rig) replay(t *testing.T, sends []*send) {
	var again []*send
	accepted := slices.DeleteFunc(slices.Clone(sends), func(x *send) bool { return x.answer.err != nil || x.answer.doc.Operation == nil })
	for _, x := range accepted {
		if x.repeats > 0 && len(again) < replays/2 {
			again = append(again, x)
		}
	}
	for len(accepted) > 0 && len(again) < replays {
		again = append(again, accepted[rand.IntN(len(accepted))])
	}
	for n, x := range again {
		a := r.replicas[n%len(r.replicas)].submit(x.wallet, x.kind, x.amount, "Idempotency-Key", x.key, "Prefer", "wait=10")
		if a.err != nil || a.code != http.StatusOK && a.code != http.StatusUnprocessableEntity || a.header.Get("Idempotency-Replayed") != "true" ||
			a.doc.Operation == nil || a.doc.Operation.OperationID != x.id() {
			t.Errorf("repeated with its key %v, answered %v first: %v", x.key, x.answer, a)
			continue
		}
		if first := x.answer.doc.Operation; x.answer.code != http.StatusAccepted && !same(*first, *a.doc.Operation) {
			t.Errorf("repeated with its key, %s became %s", show(*first), show(*a.doc.Operation))
		}
	}
}
