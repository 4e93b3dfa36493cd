// Package breaker keeps knowing whether a component answers, so that calls to one
// that is down, hung or slow fail at once instead of each waiting its deadline.
package breaker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Config is what a Breaker is made of.
type Config struct {
	Name     string                      // of the component, for the log
	Probe    func(context.Context) error // asks the component; nil: it answers
	Interval time.Duration               // between probes
	Timeout  time.Duration               // of one probe
	Log      *slog.Logger
}

// Breaker is open while its component does not answer. It starts open, until the
// first probe succeeds. Only a probe closes it. Safe for concurrent use.
type Breaker struct {
	config Config
	mu     sync.Mutex
	err    error         // why it is open
	down   chan struct{} // closed while the breaker is open
	hint   chan struct{} // asks for a probe now
}

// errUnasked is why a breaker is open at first.
var errUnasked = errors.New("not asked yet")

// New returns an open breaker. Run probes.
func New(cfg Config) *Breaker {
	b := &Breaker{config: cfg, err: errUnasked, down: make(chan struct{}), hint: make(chan struct{}, 1)}
	close(b.down)
	return b
}

// Run probes until ctx ends.
func (b *Breaker) Run(ctx context.Context) {
	tick := time.NewTicker(b.config.Interval)
	defer tick.Stop()
	for {
		b.probe(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-b.hint:
		}
	}
}

func (b *Breaker) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, b.config.Timeout)
	defer cancel()
	err := b.config.Probe(ctx)
	// It may have been the connection: somebody in between has cut it while it was idle.
	if err != nil && ctx.Err() == nil && b.Err() == nil {
		err = b.config.Probe(ctx)
	}
	b.set(err)
}

// Fail opens the breaker: a call has found the component not answering.
func (b *Breaker) Fail(err error) {
	if err == nil {
		return
	}
	b.set(err)
	b.Suspect()
}

// Suspect asks for a probe now, without opening the breaker.
func (b *Breaker) Suspect() {
	select {
	case b.hint <- struct{}{}:
	default:
	}
}

func (b *Breaker) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.err
	b.err = err
	switch {
	case was == nil && err != nil:
		close(b.down)
		b.config.Log.Warn(b.config.Name+" is down", "error", err)
	case errors.Is(was, errUnasked) && err != nil:
		b.config.Log.Warn(b.config.Name+" is not ready yet", "error", err)
	case was != nil && err == nil:
		b.down = make(chan struct{})
		b.config.Log.Info(b.config.Name + " is up")
	}
}

// Err returns nil if the component answers, else why not.
func (b *Breaker) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// Down returns a channel that is closed when the component is down. It is of the
// present state: ask again after it was closed.
func (b *Breaker) Down() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.down
}
