package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/google/uuid"

	"github.com/walletd/walletd/client"
)

// maxBodyBytes bounds an answer: a full page of operations is about 500 KB.
const maxBodyBytes = 8 << 20

// Answer is a success.
type Answer[T any] struct {
	Status   int
	Value    T
	Body     []byte // as it came, for programs
	Location string
	Replayed bool // an earlier request with the same key was answered with this
}

// decode turns a response into an answer, or into an *Unreachable or a *Refusal.
// A success that breaks off or makes no sense is Unreachable too: what became of
// the request is as unknown as without an answer.
func decode[T any](response *http.Response, err error) (Answer[T], error) {
	var a Answer[T]
	if err != nil {
		return a, &Unreachable{err}
	}
	defer response.Body.Close()
	a.Body, err = io.ReadAll(io.LimitReader(response.Body, maxBodyBytes))
	if err != nil {
		return a, &Unreachable{err}
	}
	a.Status, a.Location = response.StatusCode, response.Header.Get("Location")
	a.Replayed = response.Header.Get("Idempotency-Replayed") == "true"
	if a.Status < 200 || a.Status > 299 {
		return a, refusal(response, a.Body)
	}
	if err := json.Unmarshal(a.Body, &a.Value); err != nil {
		return a, &Unreachable{fmt.Errorf("answer %d is not what walletd answers: %w", a.Status, err)}
	}
	if !complete(any(&a.Value)) {
		return a, &Unreachable{fmt.Errorf("answer %d is JSON, but not what walletd answers", a.Status)}
	}
	return a, nil
}

// complete reports whether a success has what walletd's always have. Whatever else
// answers 200 with some JSON, as a proxy does with {} or null, has moved no money.
func complete(value any) bool {
	switch v := value.(type) {
	case *client.Wallet:
		return v.WalletID != uuid.Nil
	case *client.Outcome:
		return v.Operation.OperationID != uuid.Nil && v.Operation.Status != ""
	case *client.Operation:
		return v.OperationID != uuid.Nil && v.Status != ""
	case *client.OperationList:
		return v.Operations != nil
	}
	return true
}
