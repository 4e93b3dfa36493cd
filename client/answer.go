package client

import (
	"encoding/json"
	"fmt"
)

// ProblemOf returns the problem document that the body of an answer is, whatever its status;
// nil for any other body, as of a success, or of a gateway in front of walletd.
func ProblemOf(body []byte) *Problem {
	var p Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Code == "" || p.Status == 0 {
		return nil
	}
	return &p
}

// Receipt returns the operation's place in the journal, as GetOperationParams takes it: with
// it a PENDING operation is found on every replica. It is nil if the operation has none.
func (o *Operation) Receipt() *string {
	if o.Partition == nil || o.Offset == nil {
		return nil
	}
	return new(fmt.Sprintf("%d-%d", *o.Partition, *o.Offset))
}
