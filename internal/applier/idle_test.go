package applier_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// idle returns a channel that tells whether the replica was idle before ctx ended.
func (r *replica) idle(ctx context.Context) <-chan bool {
	is := make(chan bool, 1)
	go func() { is <- r.AwaitIdle(ctx) }()
	return is
}

// wantIdle waits for the answer.
func wantIdle(t *testing.T, what string, is <-chan bool, want bool) {
	t.Helper()
	select {
	case got := <-is:
		if got != want {
			t.Errorf("%s: idle is %t", what, got)
		}
	case <-time.After(patience):
		t.Errorf("never: %s", what)
	}
}

// stuck is a replica whose commit does not end before the release.
func stuck(t *testing.T) (*replica, func()) {
	t.Helper()
	w := newMemoryWorld(t, 2)
	committing, release := make(chan struct{}, 10), make(chan struct{})
	r := w.owning(blocking(committing, release))
	w.append(deposit(w.created(), 1))
	wait(t, "a commit is under way", committing)
	once := sync.OnceFunc(func() { close(release) })
	t.Cleanup(once)
	return r, once
}

// awaited is a context that says when somebody waits for its end.
type awaited struct {
	context.Context
	waited chan struct{}
}

func (w awaited) Done() <-chan struct{} {
	select {
	case w.waited <- struct{}{}:
	default:
	}
	return w.Context.Done()
}

func TestIdleIsWhoHasEverythingInTheLedger(t *testing.T) {
	r, release := stuck(t)
	ctx := awaited{t.Context(), make(chan struct{}, 1)}
	is := r.idle(ctx)
	wait(t, "a wait while a commit is under way", ctx.waited)
	release()
	wantIdle(t, "after the commit", is, true)
	wantIdle(t, "from the beginning", r.idle(t.Context()), true)
}

func TestIdleWaitsNoLongerThanItsContext(t *testing.T) {
	r, _ := stuck(t)
	ctx, cancel := context.WithCancel(t.Context())
	is := r.idle(ctx)
	cancel()
	wantIdle(t, "at the end of the wait", is, false)
}

// Others' traffic must not keep a replica waiting for ever.
func TestIdleDoesNotWaitForWhatComesLater(t *testing.T) {
	w := newMemoryWorld(t, 1)
	committing, proceed := make(chan struct{}), make(chan struct{})
	r := w.replica(blocking(committing, proceed))
	t.Cleanup(func() { close(proceed) }) // before the replica ends, which waits for it
	r.assign(1)
	id := w.created()
	r.Deliver(w.append(deposit(id, 1)))
	wait(t, "a commit is under way", committing)
	ctx := awaited{t.Context(), make(chan struct{}, 1)}
	is := r.idle(ctx)
	wait(t, "a wait for it", ctx.waited)
	r.Deliver(w.append(deposit(id, 2)))
	proceed <- struct{}{}
	wait(t, "the next commit is under way", committing)
	wantIdle(t, "with another commit under way", is, true)
}

func TestIdleDoesNotWaitForAPartitionThatIsGivenUp(t *testing.T) {
	for name, giveUp := range map[string]func(*replica, int32){
		"stopped": func(r *replica, p int32) { r.MarkStopped(p, errors.New("an operator has to decide")) },
		"revoked": func(r *replica, p int32) { go r.Revoked(p) }, // which finishes the commit
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := stuck(t)
			ctx := awaited{t.Context(), make(chan struct{}, 1)}
			is := r.idle(ctx)
			wait(t, "a wait while a commit is under way", ctx.waited)
			for p := range int32(2) {
				giveUp(r, p)
			}
			wantIdle(t, "with nobody to wait for", is, true)
			wantIdle(t, "from the beginning", r.idle(t.Context()), true)
		})
	}
}
