package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// walletID is a wallet on the command line.
type walletID struct{ uuid.UUID }

// UnmarshalText takes the one form that the service takes.
func (id *walletID) UnmarshalText(text []byte) error {
	var ok bool
	if id.UUID, ok = wallet.ParseID(string(text)); !ok {
		return fmt.Errorf("%q is no UUID of 36 characters", text)
	}
	return nil
}

// amount is money on the command line.
type amount int64

// UnmarshalText takes digits only: "12.50" is refused, not guessed at.
func (a *amount) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != string(text) || !wallet.Amount(n).Valid() {
		return fmt.Errorf("%q is not an integer from 1 to %d, in minor units", text, wallet.MaxAmount)
	}
	*a = amount(n)
	return nil
}

// key is an idempotency key on the command line.
type key string

// UnmarshalText takes what the service takes.
func (k *key) UnmarshalText(text []byte) error {
	*k = key(text)
	return wallet.CheckKey(string(text))
}

// preference is how long the service is asked to wait for an outcome.
type preference struct {
	Wait  *int `placeholder:"SECONDS" xor:"wait" help:"How long the service is to wait for the outcome, 0 to 30 (its default is 1)."`
	Async bool `xor:"wait" help:"Do not wait: be answered as soon as the operation is accepted."`
}

// Validate is kong's.
func (p *preference) Validate() error {
	if p.Wait != nil && (*p.Wait < 0 || *p.Wait > 30) {
		return errors.New("--wait must be from 0 to 30 seconds")
	}
	return nil
}

// within refuses a wait that the request's own timeout would cut off.
func (p *preference) within(timeout time.Duration) error {
	if p.Wait != nil && time.Duration(*p.Wait)*time.Second >= timeout {
		return &failure{exitUsage, fmt.Errorf("--timeout %s must be longer than --wait %d", timeout, *p.Wait)}
	}
	return nil
}

// header returns the Prefer header (RFC 7240); empty: none.
func (p *preference) header() string {
	switch {
	case p.Async:
		return "respond-async"
	case p.Wait != nil:
		return "wait=" + strconv.Itoa(*p.Wait)
	}
	return ""
}
