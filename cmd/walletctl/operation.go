package main

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/internal/wallet"
)

// operationCommand shows one operation.
type operationCommand struct {
	Wallet  walletID `arg:"" help:"The wallet's id."`
	ID      string   `arg:"" optional:"" help:"The operation's id."`
	Key     key      `help:"Instead of the id: the idempotency key that the operation was asked for with."`
	Journal *place   `placeholder:"PARTITION-OFFSET" help:"Its receipt, with which it is found also before it is applied."`
}

// Run is kong's.
func (c *operationCommand) Run(s *screen) error {
	id, err := c.id()
	if err != nil {
		return &failure{exitUsage, err}
	}
	receipt := ""
	if c.Journal != nil {
		receipt = c.Journal.String()
	}
	walletd, err := s.client()
	if err != nil {
		return err
	}
	answer, err := walletd.Operation(s.ctx, c.Wallet.UUID, id, receipt)
	if err != nil {
		return s.refused(err)
	}
	if s.flags.JSON {
		return s.raw(answer.Body)
	}
	return s.showOperation(&answer.Value)
}

func (c *operationCommand) id() (uuid.UUID, error) {
	switch {
	case (c.ID == "") == (c.Key == ""):
		return uuid.Nil, errors.New("either the operation's id or --key must be given")
	case c.Key != "":
		return wallet.OperationID(c.Wallet.UUID, string(c.Key)), nil
	}
	id, ok := wallet.ParseID(c.ID)
	if !ok {
		return id, fmt.Errorf("%q is no UUID of 36 characters", c.ID)
	}
	return id, nil
}

// receiptFlag is how the operation command is told a PENDING operation's receipt.
func receiptFlag(op *client.Operation) string {
	if receipt := op.Receipt(); receipt != nil {
		return " --journal " + *receipt
	}
	return ""
}
