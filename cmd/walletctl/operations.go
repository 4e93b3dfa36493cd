package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/cmd/walletctl/internal/api"
)

// operationsCommand shows a wallet's operations.
type operationsCommand struct {
	Wallet walletID   `arg:"" help:"The wallet's id."`
	Status *string    `placeholder:"STATUS" enum:"PENDING,APPLIED,FAILED" help:"Only PENDING, APPLIED or FAILED ones."`
	Type   *string    `placeholder:"TYPE" enum:"DEPOSIT,WITHDRAW" help:"Only DEPOSITs or WITHDRAWs."`
	From   *time.Time `placeholder:"TIME" help:"Only those applied at this time or later, as 2026-05-04T10:00:00Z."`
	To     *time.Time `placeholder:"TIME" help:"Only those applied before this time."`
	Limit  int        `default:"50" help:"How many at most."`
	All    bool       `help:"All of them, whatever --limit says."`
	Cursor *string    `placeholder:"CURSOR" help:"Go on where an earlier list ended (nextCursor)."`
}

// Run is kong's. The list is shown part by part, so a long one takes no memory.
func (c *operationsCommand) Run(s *screen) error {
	if c.Limit < 1 {
		return &failure{exitUsage, fmt.Errorf("--limit must be at least 1")}
	}
	walletd, err := s.client()
	if err != nil {
		return err
	}
	var list lister = &table{to: s.out}
	if s.flags.JSON {
		list = &document{to: s.out}
	}
	left, params := c.Limit, c.params()
	for {
		page := min(left, api.PageOperations)
		if c.All {
			page = api.PageOperations
		}
		params.Limit = &page
		answer, err := walletd.Operations(s.ctx, c.Wallet.UUID, params)
		switch {
		case err != nil && params.Cursor != c.Cursor:
			// What was shown is a list of its own, and its cursor goes on.
			return cmp.Or(list.end(*params.Cursor), err)
		case err != nil:
			return s.refused(err)
		}
		if err := list.add(answer.Value.Operations); err != nil {
			return err
		}
		left -= len(answer.Value.Operations)
		next := answer.Value.NextCursor
		if next == "" || (!c.All && left <= 0) {
			return list.end(next)
		}
		params.Cursor = &next
	}
}

func (c *operationsCommand) params() client.ListOperationsParams {
	return client.ListOperationsParams{
		Status: (*client.OperationStatus)(c.Status), OperationType: (*client.OperationType)(c.Type),
		From: c.From, To: c.To, Cursor: c.Cursor,
	}
}
