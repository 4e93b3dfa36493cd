package load

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Answers counts operations by what came back.
type Answers struct {
	Sent       int64            `json:"sent"`
	OK         int64            `json:"ok"`              // 200
	Accepted   int64            `json:"accepted"`        // 202
	Refused    int64            `json:"refused"`         // 422
	Overloaded int64            `json:"tooManyRequests"` // 429
	Other      int64            `json:"other"`           // 3xx and every other 4xx
	Server     int64            `json:"serverErrors"`    // 5xx
	None       int64            `json:"noAnswer"`
	NotSent    int64            `json:"notSent"` // due while too many were in flight
	Unreadable int64            `json:"unreadable"`
	Amount     int64            `json:"amount"`           // the sum of the amounts of those answered 200, 202 and 422
	Errors     map[string]int64 `json:"errors,omitempty"` // by code, or by why there was no answer
}

// Unprocessed returns how many requests got none of the answers that a service
// which never drops a request may give.
func (a Answers) Unprocessed() int64 {
	return a.Overloaded + a.Other + a.Server + a.None + a.NotSent
}

// receipt is a 202 whose Location is followed.
type receipt struct {
	location string
	record   *record
}

// tally gathers what came back. It is safe for concurrent use while the load
// lasts; after that it is read without the mutex.
type tally struct {
	mu       sync.Mutex
	answers  Answers
	bulks    int32
	latency  *hdrhistogram.Histogram // microseconds
	book     book
	receipts []receipt
}

func newTally() *tally {
	return &tally{answers: Answers{Errors: map[string]int64{}},
		latency: hdrhistogram.New(1, maxLatency.Microseconds(), latencyDigits)}
}

// add notes the answer to a request, or that none came: a reply for each of its
// operations. Latency counts from when the request was due.
func (t *tally) add(replies []reply, latency time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bulks++
	_ = t.latency.RecordValue(min(latency, maxLatency).Microseconds())
	for i := range replies {
		r := &replies[i]
		t.answers.Sent++
		t.count(r)
		if len(replies) > 1 {
			r.record.request, r.record.item = t.bulks, int32(i)
		}
		kept := t.book.add(r.record)
		if r.record.told == toldPending {
			t.keep(receipt{r.location, kept})
		}
	}
}

func (t *tally) count(r *reply) {
	if r.unreadable() {
		t.answers.Unreadable++
	}
	switch {
	case r.status == 0:
		t.answers.None++
		t.reason("no answer: " + cause(r.err))
	case r.status == http.StatusOK:
		t.answers.OK++
		t.answers.Amount += int64(r.record.amount)
	case r.status == http.StatusAccepted:
		t.answers.Accepted++
		t.answers.Amount += int64(r.record.amount)
	case r.status == http.StatusUnprocessableEntity:
		t.answers.Refused++
		t.answers.Amount += int64(r.record.amount)
	case r.status == http.StatusTooManyRequests:
		t.answers.Overloaded++
		t.reason("429 " + r.code)
	case r.status >= 500:
		t.answers.Server++
		t.reason(fmt.Sprint(r.status, " ", r.code))
	default:
		t.answers.Other++
		t.reason(fmt.Sprint(r.status, " ", r.code))
	}
}

func (t *tally) reason(text string) {
	if _, known := t.answers.Errors[text]; !known && len(t.answers.Errors) >= maxCodes {
		text = "others"
	}
	t.answers.Errors[text]++
}

// keep has each receipt kept with the same chance (Vitter's algorithm R).
func (t *tally) keep(r receipt) {
	if len(t.receipts) < maxReceipts {
		t.receipts = append(t.receipts, r)
	} else if i := rand.Int64N(t.answers.Accepted); i < maxReceipts {
		t.receipts[i] = r
	}
}
