package load

import "fmt"

// The kinds of faults that a verification finds.
const (
	faultLost       = "lost"           // told as accepted, not in the history
	faultTwice      = "applied_twice"  // one operation at two sequences
	faultShared     = "shared"         // two requests were told the same operation
	faultUnasked    = "unasked"        // in the history, and no request can be its own
	faultGap        = "gap"            // sequences not 1 … n
	faultBalance    = "balance"        // does not follow from the one before
	faultStatus     = "status"         // APPLIED or FAILED against the balance
	faultTold       = "told_otherwise" // the history differs from the answer
	faultOrder      = "order"          // passed by an operation that was asked for after its answer
	faultWallet     = "wallet"         // the wallet is not what its last operation left
	faultPending    = "pending"        // no outcome within the drain time
	faultUnreadable = "unreadable"     // an answer or a list that cannot be read
)

// Fault is one thing that is wrong.
type Fault struct {
	Kind   string `json:"kind"`
	Detail string `json:"detail"`
}

// Faults are counted by kind; of each kind the first few are kept.
type Faults struct {
	Counts map[string]int64 `json:"counts"`
	First  []Fault          `json:"first"`
}

func (f *Faults) add(kind, format string, args ...any) {
	f.addMany(1, kind, format, args...)
}

func (f *Faults) addMany(n int64, kind, format string, args ...any) {
	if f.Counts[kind] < maxFaults {
		f.First = append(f.First, Fault{kind, fmt.Sprintf(format, args...)})
	}
	f.Counts[kind] += n
}

// merge adds another's.
func (f *Faults) merge(o *Faults) {
	for kind, n := range o.Counts {
		f.Counts[kind] += n
	}
	f.First = append(f.First, o.First...)
}

func newFaults() *Faults { return &Faults{Counts: map[string]int64{}, First: []Fault{}} }
