package main

import (
	"errors"
	"fmt"
)

// createCommand makes a wallet.
type createCommand struct {
	Key key `help:"Idempotency key: the same key gives the same wallet for ever."`
}

// Run is kong's.
func (c *createCommand) Run(s *screen) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	answer, err := client.Create(s.ctx, string(c.Key))
	if err != nil {
		return s.refused(err)
	}
	if answer.Replayed && !s.flags.JSON {
		fmt.Fprintln(s.err, "this key made the wallet before; this is the wallet as it is now")
	}
	if s.flags.JSON {
		err = s.raw(answer.Body)
	} else {
		err = s.showWallet(answer.Value)
	}
	if err != nil {
		return fmt.Errorf("wallet %s is there, and could not be shown: %w", answer.Value.WalletID, err)
	}
	return nil
}

// balanceCommand shows a wallet.
type balanceCommand struct {
	Wallet      walletID `arg:"" help:"The wallet's id."`
	MinSequence int64    `help:"Refuse to show less than this operation (exit 3, not_yet_visible)."`
	Fresh       bool     `help:"Read the ledger, not the cache."`
}

// Run is kong's.
func (c *balanceCommand) Run(s *screen) error {
	if c.MinSequence < 0 {
		return &failure{exitUsage, errors.New("--min-sequence must not be negative")}
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	answer, err := client.Wallet(s.ctx, c.Wallet.UUID, c.MinSequence, c.Fresh)
	if err != nil {
		return s.refused(err)
	}
	if s.flags.JSON {
		return s.raw(answer.Body)
	}
	return s.showWallet(answer.Value)
}
