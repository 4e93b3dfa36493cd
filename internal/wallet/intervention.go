package wallet

import "time"

// Action is what an operator did, as the trace in the ledger names it.
type Action string

// The actions of operators.
const (
	ActionReplay  Action = "dlq_replay"     // a dead letter went into the journal again
	ActionDiscard Action = "dlq_discard"    // a dead letter is given up
	ActionRelease Action = "release"        // a wallet that was set aside is due at once
	ActionAccept  Action = "journal_accept" // the ledger follows the journal as it is now
)

// Intervention is the trace of one act of an operator.
type Intervention struct {
	ID      int64     // given by the ledger, from 1
	At      time.Time // given by the ledger
	Who     string
	Action  Action
	Subject string // what it was done to: a dead letter's place, a wallet, a topic
	Reason  string
	Detail  map[string]any // of the act; encodes as JSON
}
