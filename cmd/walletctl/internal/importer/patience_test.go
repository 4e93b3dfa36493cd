package importer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/cmd/walletctl/internal/api"
)

// A service that asks for a minute's patience does not end a run that has two; nor is a run
// that has half a minute ended before that.
func TestARunGivesUpWhenItsTimeIsOver(t *testing.T) {
	for _, limit := range []time.Duration{time.Second, 30 * time.Second, 2 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			p, began, tries := newPatience(limit), time.Now(), 0
			p.progress()
			err := p.retry(t.Context(), func(context.Context) error {
				tries++
				return &api.Refusal{Status: 429, Problem: client.Problem{Retryable: true}, RetryAfter: time.Minute}
			})
			var gaveUp *GaveUp
			if took := time.Since(began); !errors.As(err, &gaveUp) || took != limit || tries != 1+int((limit+time.Minute-1)/time.Minute) {
				t.Errorf("%s: %v after %s and %d tries", limit, err, took, tries)
			}
		})
	}
}
