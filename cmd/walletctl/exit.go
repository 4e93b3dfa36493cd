package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/walletd/walletd/cmd/walletctl/internal/api"
	"github.com/walletd/walletd/cmd/walletctl/internal/importer"
	"github.com/walletd/walletd/internal/wallet"
)

// The exit codes, which --help documents.
const (
	exitUnexpected  = 1
	exitUsage       = 2
	exitRefused     = 3
	exitUnavailable = 4
	exitDiffers     = 5
	exitPending     = 6
	exitInterrupted = 130
)

const description = `The client of walletd. Amounts and balances are integers in minor units (cents).

Exit codes:

    0    done
    1    something unexpected
    2    the command line or the input file is wrong; nothing was sent
    3    refused: an answer of 4xx, a FAILED operation, an intervention that does not apply here
    4    the service, or a component that the command needs, is unavailable or cannot be reached
    5    a verification failed: balances or histories are not what they must be
    6    accepted, but the outcome was not known when the wait ended: "walletctl operation" shows it (0 with --async)
    130  interrupted`

// failure is an error with its exit code.
type failure struct {
	code int
	err  error // nil: the command has said what there is to say
}

// Error says what failed.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap returns the cause.
func (f *failure) Unwrap() error { return f.err }

// interrupted gives a client's error, which is of a request that was broken off when ctx
// ended, the exit code of that. Other errors have come before, or have theirs.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && err != nil && exitCode(err) == exitUnavailable && !errors.As(err, new(*failure)) {
		return &failure{exitInterrupted, err}
	}
	return err
}

// report prints an error for people and returns its exit code.
func report(to io.Writer, err error) int {
	var f *failure
	if err == nil {
		return 0
	}
	if !errors.As(err, &f) {
		f = &failure{exitCode(err), err}
	}
	if f.err != nil {
		fmt.Fprintf(to, "walletctl: %v\n", f.err)
	}
	return f.code
}

// exitCode sorts the errors of a client.
func exitCode(err error) int {
	var refusal *api.Refusal
	var unreachable *api.Unreachable
	var gaveUp *importer.GaveUp
	switch {
	case errors.Is(err, importer.ErrInterrupted):
		return exitInterrupted
	case errors.As(err, &gaveUp), errors.As(err, &unreachable), errors.Is(err, wallet.ErrUnavailable), errors.Is(err, wallet.ErrUnreachable), errors.Is(err, wallet.ErrUnacknowledged):
		return exitUnavailable
	case errors.As(err, &refusal) && refusal.Status >= 502 && refusal.Status <= 504:
		return exitUnavailable
	case errors.As(err, &refusal) && refusal.Status >= 400 && refusal.Status <= 499:
		return exitRefused
	case errors.Is(err, wallet.ErrResolved), errors.Is(err, wallet.ErrTopicChanged), errors.Is(err, wallet.ErrConflict):
		return exitRefused
	}
	return exitUnexpected
}
