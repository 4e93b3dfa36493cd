package main

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/wallet"
)

var (
	errNoAnswer    = errors.New("no answer in time")
	errRefused     = errors.New("connection refused")
	errLost        = errors.New("connection lost")
	errUnreachable = errors.New("cannot be reached")
	errUnusable    = errors.New("not usable")
)

// reason is what the API's port tells of a component that is down: not where it is,
// nor who walletd is there. The log has it all.
func reason(err error) error {
	var network net.Error
	isNetwork := errors.As(err, &network)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded), isNetwork && network.Timeout():
		return errNoAnswer
	case errors.Is(err, syscall.ECONNREFUSED):
		return errRefused
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errLost
	case isNetwork, errors.Is(err, wallet.ErrUnreachable):
		return errUnreachable
	case errors.Is(err, journal.ErrNotMet), errors.Is(err, journal.ErrStalled), errors.Is(err, journal.ErrHeld):
		return err // our own words
	}
	return errUnusable
}
