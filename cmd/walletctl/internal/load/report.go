package load

import "time"

// Latency is in milliseconds, from when a request was due (open loop) or sent
// (closed loop) until its answer was read.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// Verification is what the histories prove.
type Verification struct {
	History
	Followed int     `json:"followed"` // answers of 202 asked for again at their Location
	Faults   *Faults `json:"faults"`
}

// Report is a run's outcome.
type Report struct {
	Wallets           []string      `json:"wallets"` // that it made
	Answers           Answers       `json:"answers"`
	LatencyMs         Latency       `json:"latencyMs"`
	AcceptedPerSecond float64       `json:"acceptedPerSecond"`
	AppliedPerSecond  float64       `json:"appliedPerSecond,omitzero"` // by the service's clock; 0: too few to say, or not verified
	SendingSeconds    float64       `json:"sendingSeconds"`            // until the last answer
	SendingCPUSeconds float64       `json:"sendingCpuSeconds"`
	SendingEnded      time.Time     `json:"sendingEnded"`          // the last answer
	DrainSeconds      float64       `json:"drainSeconds,omitzero"` // with the verification
	Bounded           bool          `json:"bounded"`               // ended by MaxOperations
	Interrupted       bool          `json:"interrupted"`
	Verification      *Verification `json:"verification,omitempty"` // nil: the histories were not read
}

// OK reports whether everything was as promised. If strict, a request that was
// not processed, whatever the reason, is a broken promise too.
func (r *Report) OK(strict bool) bool {
	return len(r.Faults()) == 0 && (!strict || r.Answers.Unprocessed() == 0)
}

// Faults counts the broken promises that were found, by their kind.
func (r *Report) Faults() map[string]int64 {
	if r.Verification == nil {
		return nil
	}
	return r.Verification.Faults.Counts
}

func (t *tally) percentiles() Latency {
	at := func(q float64) float64 { return float64(t.latency.ValueAtQuantile(q)) / 1000 }
	return Latency{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(t.latency.Max()) / 1000}
}

// accepted counts the requests that were told their operation.
func (t *tally) accepted() (n int64) {
	for _, chunk := range t.book.chunks {
		for i := range chunk {
			if chunk[i].accepted() {
				n++
			}
		}
	}
	return n
}

func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
