package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/client"
)

// A deposit under a key is repeated until it is answered: it is applied once. One that is
// PENDING is looked for until it has its outcome.
func Example() {
	service := httptest.NewServer(scripted())
	defer service.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	walletd, err := client.New(service.URL)
	if err != nil {
		panic(err)
	}
	key := "invoice-4711"
	request := client.OperationRequest{WalletID: uuid.MustParse("0192f1c8-7c1e-7b5a-9d2e-3c4b5a697887"), OperationType: client.Deposit, Amount: 1000}
	var op client.Operation
	for op.Status == "" {
		answer, err := walletd.SubmitOperationWithResponse(ctx, &client.SubmitOperationParams{IdempotencyKey: &key}, request)
		switch {
		case err != nil:
			panic(err) // nobody knows: the same again, later
		case answer.JSON200 != nil:
			op = answer.JSON200.Operation
		case answer.JSON202 != nil:
			op = answer.JSON202.Operation
		default:
			p := client.ProblemOf(answer.Body)
			if p == nil || !p.Retryable {
				panic(answer.Status())
			}
			fmt.Println(p.Code, "- again")
		}
	}
	for op.Status == client.Pending {
		fmt.Println(op.Status, "at", *op.Receipt())
		answer, err := walletd.GetOperationWithResponse(ctx, op.WalletID, op.OperationID, &client.GetOperationParams{Journal: op.Receipt()})
		if err != nil || answer.JSON200 == nil {
			panic(err)
		}
		op = *answer.JSON200
	}
	fmt.Println(op.Status, *op.BalanceAfter)
	// Output:
	// unavailable - again
	// PENDING at 7-1204
	// APPLIED 1000
}

// scripted answers as walletd may: with a problem, then with 202, then with the outcome.
func scripted() http.HandlerFunc {
	partition, offset, balance, sequence := int32(7), int64(1204), client.Balance(1000), client.Sequence(1)
	op := client.Operation{OperationID: uuid.MustParse("0192f1c8-9f3a-7d21-8a54-0d1c2b3a4958"), WalletID: uuid.MustParse("0192f1c8-7c1e-7b5a-9d2e-3c4b5a697887"),
		OperationType: client.Deposit, Amount: 1000, Status: client.Pending, Partition: &partition, Offset: &offset}
	applied := op
	applied.Status, applied.BalanceAfter, applied.Sequence = client.Applied, &balance, &sequence
	asked := 0
	return func(w http.ResponseWriter, _ *http.Request) {
		answer, status, kind := any(applied), http.StatusOK, "application/json"
		switch asked++; asked {
		case 1:
			w.Header().Set("Retry-After", "Mon, 04 May 2026 10:11:12 GMT") // as a gateway's may be
			answer, status, kind = client.Problem{Status: 503, Code: client.CodeUnavailable, Retryable: true}, http.StatusServiceUnavailable, "application/problem+json"
		case 2:
			answer, status = client.Outcome{Operation: op}, http.StatusAccepted
		}
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer)
	}
}
