package load

import (
	"encoding/json"
	"net/http"

	"github.com/google/uuid"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/internal/wallet"
)

// reply is an answer to a write, as far as the verification needs it.
type reply struct {
	status   int // 0: none
	err      error
	location string
	code     string
	record   record // with what was told
}

// answerBody has the members of both an outcome and a problem.
type answerBody struct {
	Operation *answeredOperation `json:"operation"`
	Balance   *wallet.Amount     `json:"balance"`
	Sequence  *int64             `json:"sequence"`
	Code      string             `json:"code"`
	Outcome   client.Fate        `json:"outcome"`
}

type answeredOperation struct {
	OperationID  uuid.UUID              `json:"operationId"`
	Status       client.OperationStatus `json:"status"`
	Reason       wireReason             `json:"reason"`
	Sequence     int64                  `json:"sequence"`
	BalanceAfter wallet.Amount          `json:"balanceAfter"`
}

// read notes what the answer told. An answer that does not say what became of the
// request, whatever its status, told nothing.
func (r *reply) read(content []byte) {
	var b answerBody
	if err := json.Unmarshal(content, &b); err != nil {
		r.err = err
		return
	}
	r.take(&b)
}

func (r *reply) take(b *answerBody) {
	r.code = b.Code
	r.record.told = meaning(r.status, b)
	if !r.record.accepted() {
		return
	}
	op := b.Operation
	r.record.operation, r.record.reason = op.OperationID, wallet.Reason(op.Reason)
	r.record.sequence, r.record.balance = op.Sequence, op.BalanceAfter
	if b.Balance != nil { // an outcome says it twice: what the client would use is checked
		r.record.balance = *b.Balance
	}
	if b.Sequence != nil {
		r.record.sequence = *b.Sequence
	}
}

// readWallet notes a balance that was read. It claims nothing about an operation.
func (r *reply) readWallet(content []byte) {
	if r.status == http.StatusOK {
		r.record.told = toldUnread
		return
	}
	var b struct{ Code string }
	r.err = json.Unmarshal(content, &b)
	r.code = b.Code
}

func meaning(status int, b *answerBody) told {
	switch {
	case b.Operation != nil && status == http.StatusOK && b.Operation.Status == client.Applied:
		return toldApplied
	case b.Operation != nil && status == http.StatusAccepted && b.Operation.Status == client.Pending:
		return toldPending
	case b.Operation != nil && status == http.StatusUnprocessableEntity && b.Operation.Status == client.Failed:
		return toldFailed
	case status >= 400 && b.Outcome == client.NotApplied:
		return toldRejected
	}
	return toldNothing
}

// bulkAnswer has the members of the answer to a bulk and of a problem.
type bulkAnswer struct {
	Outcomes []struct {
		answerBody
		Location string `json:"location"`
	} `json:"outcomes"`
	answerBody
}

// readAll notes what the answer to a bulk told of each operation, under the status
// that the operation's own answer would have had.
func readAll(replies []reply, status int, content []byte) {
	var b bulkAnswer
	err := json.Unmarshal(content, &b)
	told := status/100 == 2 && len(b.Outcomes) == len(replies)
	for i := range replies {
		r := &replies[i]
		r.status, r.err = status, err
		switch {
		case told:
			r.location, r.status = b.Outcomes[i].Location, ownStatus(&b.Outcomes[i].answerBody)
			r.take(&b.Outcomes[i].answerBody)
		case err == nil:
			r.take(&b.answerBody)
		}
	}
}

func ownStatus(b *answerBody) int {
	switch {
	case b.Operation == nil || b.Operation.Status == client.Applied:
		return http.StatusOK
	case b.Operation.Status == client.Pending:
		return http.StatusAccepted
	}
	return http.StatusUnprocessableEntity
}

// unreadable reports an answer that claims an outcome and does not say it.
func (r *reply) unreadable() bool {
	claims := r.status/100 == 2 || r.status == http.StatusUnprocessableEntity
	return claims && r.record.told == toldNothing
}
