package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/cmd/walletctl/internal/api"
)

// submission is what a deposit and a withdrawal have in common.
type submission struct {
	Wallet walletID `arg:"" help:"The wallet's id."`
	Amount amount   `arg:"" help:"In minor units."`
	Key    key      `help:"Idempotency key: the same key is applied once, however often it is sent. Default: a new one."`
	preference
}

type depositCommand struct{ submission }

// Run is kong's.
func (c *depositCommand) Run(s *screen) error { return c.send(s, client.Deposit) }

type withdrawCommand struct{ submission }

// Run is kong's.
func (c *withdrawCommand) Run(s *screen) error { return c.send(s, client.Withdraw) }

// send always sends a key, so that a request whose fate is unknown can be repeated.
func (c *submission) send(s *screen, kind client.OperationType) error {
	if c.Key == "" {
		c.Key = key(uuid.NewString())
	}
	walletd, err := s.client()
	if err = cmp.Or(err, c.within(s.flags.Timeout)); err != nil {
		return err
	}
	request := client.OperationRequest{WalletID: c.Wallet.UUID, OperationType: kind, Amount: int64(c.Amount)}
	answer, err := walletd.Submit(s.ctx, request, string(c.Key), c.header())
	if err != nil {
		return c.failed(s, err)
	}
	if answer.Replayed {
		fmt.Fprintln(s.err, "this key was used before; this is what became of the first request")
	}
	op := &answer.Value.Operation
	if s.flags.JSON {
		err = s.raw(answer.Body)
	} else {
		err = s.showOperation(op)
	}
	if err != nil {
		return fmt.Errorf("the operation is %s, and could not be shown: %w\nrun it again with --key %s to see it: it is applied once", op.Status, err, c.Key)
	}
	if op.Status != client.Pending {
		return nil
	}
	fmt.Fprintf(s.err, "accepted; the outcome: walletctl operation %s %s%s\n", op.WalletID, op.OperationID, receiptFlag(op))
	if c.Async {
		return nil
	}
	return &failure{exitPending, nil}
}

// failed shows a FAILED operation, or says how to find out what became of the request.
func (c *submission) failed(s *screen, err error) error {
	var refusal *api.Refusal
	known := errors.As(err, &refusal)
	if known && refusal.Failed() != nil && !s.flags.JSON {
		err = errors.Join(err, s.showOperation(refusal.Failed()))
	}
	unknown := !known || refusal.Problem.Outcome == client.Unknown
	if unknown || refusal.Temporary() {
		err = fmt.Errorf("%w\nrun it again with --key %s: it will be applied once, whatever became of this request", err, c.Key)
	}
	return s.refused(err)
}
