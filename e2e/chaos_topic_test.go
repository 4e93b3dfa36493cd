//go:build chaos

package e2e_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// topicRecreated is the fault that nothing heals: it comes last.
const topicRecreated = "topic-recreated"

// loseTopic deletes the journal's topic under load and makes another of its name.
// The replicas have to stop reading and say why; not one offset may be skipped; what is
// asked for from then on is applied directly. What had been answered 202 and was
// only in that topic is gone with it: it is counted.
func (r *rig) loseTopic(t *testing.T, random *rand.Rand) *row {
	defer r.as(t)()
	row, load, _, stop := r.underLoad(t, topicRecreated, random)
	defer stop()
	r.recreate()
	if !within(patience, func() bool { return r.saysStopped() == nil }) {
		t.Errorf("the topic is another: %v", r.saysStopped())
	}
	next, began := r.count("SELECT sum(next_offset) FROM journal_offsets"), time.Now()
	elapse(short)
	row.Recovery = max(0, load.pulse.settle(began, recoverySoon).Sub(began))
	sends := stop()
	row.count(load)
	only(t, load.sends, 200, 202, 422)
	if now := r.count("SELECT sum(next_offset) FROM journal_offsets"); now != next {
		t.Errorf("the ledger's offsets went from %d to %d", next, now)
	}
	for p, end := range r.ends() {
		if end > 0 {
			t.Errorf("partition %d of the new topic has %d records, which nobody applies", p, end)
		}
	}
	gone := pendingFor(r.stack, sends)
	for _, x := range gone {
		if x.sent.After(began) {
			t.Errorf("accepted after the replicas knew, and not applied: %v", x.answer)
		}
	}
	row.Verdict = fmt.Sprintf("kept; %d 202 lost with the topic", len(gone))
	kept := slices.DeleteFunc(sends, func(x *send) bool { return slices.Contains(gone, x) })
	for _, id := range walletsOf(kept) {
		r.audit(id, kept)
	}
	return row
}

// saysStopped is nil when every replica tells operators that the journal is not the
// one the ledger follows.
func (r *rig) saysStopped() error {
	var err error
	for _, replica := range r.replicas {
		h, _ := replica.healthWithin(checkTimeout)
		detail := ""
		for _, c := range h.Components {
			if c.Name == "kafka" {
				detail = c.Detail
			}
		}
		if h.code != http.StatusOK || h.of("kafka") != "down" || !strings.Contains(detail, "topic") {
			err = errors.Join(err, fmt.Errorf("%s says %+v", replica.name, h))
		}
	}
	return err
}
