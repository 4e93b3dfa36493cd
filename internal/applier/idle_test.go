package applier_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/walletd/walletd/internal/applier/simtest"
)

// idle returns a channel that is closed when the replica is idle, or patience ends.
func (r *replica) idle(ctx context.Context) <-chan struct{} {
	is := make(chan struct{})
	go func() {
		defer close(is)
		r.Idle(ctx)
	}()
	return is
}

// stuck is a replica whose commit does not end before the release.
func stuck(t *testing.T) (*replica, func()) {
	t.Helper()
	w := newMemoryWorld(t, 2)
	committing, release := make(chan struct{}, 10), make(chan struct{})
	r := w.owning(withFaults(func(c simtest.Call) simtest.Fault {
		if c.Method == "Commit" {
			committing <- struct{}{}
			<-release
		}
		return simtest.None
	}))
	w.append(deposit(w.created(), 1))
	wait(t, "a commit is under way", committing)
	return r, func() { close(release) }
}

func TestIdleIsWhoHasEverythingInTheLedger(t *testing.T) {
	r, release := stuck(t)
	is := r.idle(t.Context())
	select {
	case <-is:
		t.Error("idle while a commit is under way")
	case <-time.After(20 * time.Millisecond):
	}
	release()
	wait(t, "idle after the commit", is)
	wait(t, "idle from the beginning", r.idle(t.Context()))
}

func TestIdleWaitsNoLongerThanItsContext(t *testing.T) {
	r, release := stuck(t)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	is := r.idle(ctx)
	cancel()
	wait(t, "the end of the wait", is)
}

func TestAStoppedPartitionIsIdle(t *testing.T) {
	r, release := stuck(t)
	defer release()
	for p := range int32(2) {
		r.Stop(p, errors.New("an operator has to decide"))
	}
	wait(t, "idle", r.idle(t.Context()))
}
