package importer

import (
	"github.com/walletd/walletd/cmd/walletctl/internal/statement"
	"github.com/walletd/walletd/internal/wallet"
)

// RowFailure is a row that changed no balance, and why.
type RowFailure struct {
	Line   int    `json:"line"`
	ID     string `json:"id"`
	Reason string `json:"reason"` // of the FAILED operation, or the refusal's code
	Detail string `json:"detail,omitempty"`
}

// Counts are of rows.
type Counts struct {
	Rows            int `json:"rows"`
	Sent            int `json:"sent"` // answered by the service; the others were not sent, or not answered
	Applied         int `json:"applied"`
	Failed          int `json:"failed"`          // recorded as FAILED
	Refused         int `json:"refused"`         // not recorded at all
	Replayed        int `json:"replayed"`        // of the sent, already known from an earlier run
	AnsweredPending int `json:"answeredPending"` // of the sent, answered before the outcome was known
	Resolved        int `json:"resolved"`        // of those, known by now
	Unresolved      int `json:"unresolved"`      // of those, still not known
}

// AccountReport is what became of one account.
type AccountReport struct {
	Account  string `json:"account"`
	WalletID string `json:"walletId,omitempty"`
	Counts
	Balance           *int64        `json:"balance,omitempty"` // at the end; absent if not reached
	Sequence          int64         `json:"sequence,omitempty"`
	Agreement         Agreement     `json:"agreement,omitempty"`
	LargestDifference wallet.Amount `json:"largestDifference,omitempty"`
	OpeningBalance    wallet.Amount `json:"openingBalance,omitempty"` // that the file implies and no row brings in
	FirstDifference   *Difference   `json:"firstDifference,omitempty"`
	Failures          []RowFailure  `json:"failures,omitempty"`

	compared int
	complete bool
}

func (r *AccountReport) fail(row statement.Row, reason, detail string) {
	r.Failures = append(r.Failures, RowFailure{row.Line, row.ID, reason, detail})
}

// differ keeps the first difference: the later ones mostly follow from it.
func (r *AccountReport) differ(d Difference) {
	if r.FirstDifference == nil {
		r.FirstDifference = &d
	}
}

// Comparison is how the accounts' balances compare with the file's.
type Comparison struct {
	TolerancePerRow wallet.Amount `json:"tolerancePerRow"`
	Exact           int           `json:"exact"`
	Within          int           `json:"withinTolerance"`
	Differ          int           `json:"differ"`
	Incomplete      int           `json:"incomplete"`
}

// Report is what became of an import.
type Report struct {
	Name     string `json:"name"`
	Accounts int    `json:"accounts"`
	Counts
	Reasons    map[string]int  `json:"reasons"` // of failed and refused rows
	Comparison *Comparison     `json:"comparison,omitempty"`
	Seconds    float64         `json:"seconds"`
	Stopped    string          `json:"stopped,omitempty"` // why before the end
	Each       []AccountReport `json:"each,omitempty"`
}

func summarize(config Config, s *statement.Statement, each []AccountReport) *Report {
	r := &Report{Name: config.Name, Accounts: len(each), Reasons: map[string]int{}, Each: each}
	if s.HasBalances {
		r.Comparison = &Comparison{TolerancePerRow: config.Tolerance}
	}
	for _, a := range each {
		r.Counts.add(a.Counts)
		for _, f := range a.Failures {
			r.Reasons[f.Reason]++
		}
		r.Comparison.count(a.Agreement)
	}
	return r
}

func (c *Counts) add(o Counts) {
	c.Rows += o.Rows
	c.Sent += o.Sent
	c.Applied += o.Applied
	c.Failed += o.Failed
	c.Refused += o.Refused
	c.Replayed += o.Replayed
	c.AnsweredPending += o.AnsweredPending
	c.Resolved += o.Resolved
	c.Unresolved += o.Unresolved
}

func (c *Comparison) count(a Agreement) {
	switch a {
	case Exact:
		c.Exact++
	case Within:
		c.Within++
	case Differs:
		c.Differ++
	case Incomplete:
		c.Incomplete++
	}
}
