package httpapi

import (
	"testing"

	"github.com/walletd/walletd/client"
)

// The generated client and this server come from one description, so they must
// understand each other.
func TestGeneratedClient(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	c, err := client.New(r.url)
	if err != nil {
		t.Fatal(err)
	}
	made, err := c.CreateWalletWithResponse(ctx, &client.CreateWalletParams{IdempotencyKey: new("k")})
	if err != nil || made.JSON201 == nil {
		t.Fatalf("%v %+v", err, made)
	}
	id := made.JSON201.WalletID
	deposit := client.OperationRequest{WalletID: id, OperationType: client.Deposit, Amount: 1000}
	out, err := c.SubmitOperationWithResponse(ctx, &client.SubmitOperationParams{Prefer: new("wait=3")}, deposit)
	if err != nil || out.JSON200 == nil || *out.JSON200.Balance != 1000 || out.HTTPResponse.Header.Get("Preference-Applied") != "wait=3" {
		t.Fatalf("%v %+v", err, out)
	}
	deposit.Amount = 0
	bad, err := c.SubmitOperationWithResponse(ctx, nil, deposit)
	if err != nil || bad.ApplicationProblemJSON400 == nil || bad.ApplicationProblemJSON400.Errors[0].Field != "amount" {
		t.Fatalf("%v %+v", err, bad)
	}
	read, err := c.GetWalletWithResponse(ctx, id, &client.GetWalletParams{MinSequence: new(int64(1))})
	if err != nil || read.JSON200 == nil || read.JSON200.Sequence != 1 {
		t.Fatalf("%v %+v", err, read)
	}
	one, err := c.GetOperationWithResponse(ctx, id, out.JSON200.Operation.OperationID, &client.GetOperationParams{Journal: new("7-0")})
	if err != nil || one.JSON200 == nil || one.JSON200.Status != client.Applied {
		t.Fatalf("%v %+v", err, one)
	}
	list, err := c.ListOperationsWithResponse(ctx, id, &client.ListOperationsParams{Limit: new(5), Status: new(client.Failed)})
	if err != nil || list.JSON200 == nil || *r.queries[0].Status != 2 {
		t.Fatalf("%v %+v", err, list)
	}
}
