// Package progress shows how far a long command is: a bar on a terminal, else a
// line every few seconds, so that a log stays readable.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// How often each form is refreshed.
const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 5 * time.Second
)

// Options say what is shown and where.
type Options struct {
	To       io.Writer
	Terminal bool // To is a terminal
	Title    string
	Unit     string // of what is counted, plural
	Total    int64  // 0: not known
}

// Start shows progress until the returned function is called, which shows the
// last state and returns when nothing more is written. The count is read by done,
// so that the work itself only has to keep a number.
func Start(o Options, done func() int64) (stop func()) {
	quit, finished := make(chan struct{}), make(chan struct{})
	draw, every := line(o, time.Now()), lineEvery
	if o.Terminal {
		draw, every = bar(o), barEvery
	}
	go func() {
		defer close(finished)
		repeat(every, quit, func(last bool) { draw(done(), last) })
	}()
	return sync.OnceFunc(func() {
		close(quit)
		<-finished
	})
}

func repeat(every time.Duration, quit <-chan struct{}, draw func(last bool)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			draw(false)
		case <-quit:
			draw(true)
			return
		}
	}
}

func bar(o Options) func(done int64, last bool) {
	total := o.Total
	if total == 0 {
		total = -1 // a spinner
	}
	b := progressbar.NewOptions64(total, progressbar.OptionSetWriter(o.To),
		progressbar.OptionSetDescription(o.Title), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString(o.Unit),
		progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(barEvery/2))
	return func(done int64, last bool) {
		_ = b.Set64(done) // a terminal that cannot be written to is no reason to stop
		if last {
			_ = b.Exit()
			fmt.Fprintln(o.To)
		}
	}
}
