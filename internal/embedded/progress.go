package embedded

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// begin tells the reader of w that something long has begun: a spinner with the time passed on a terminal, one line
// elsewhere, nothing when w is nil. The returned function ends it.
func begin(w io.Writer, what string) (end func()) {
	if w == nil {
		return func() {}
	}
	if file, ok := w.(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
		fmt.Fprintln(w, what)
		return func() {}
	}
	bar := progressbar.NewOptions(-1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSpinnerType(14),
		progressbar.OptionSetSpinnerChangeInterval(0), // spin moves it, so that no goroutine is left without an owner
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionClearOnFinish(),
	)
	return spin(w, bar, what)
}

// spin moves the bar until the returned function is called, which waits for the last move.
func spin(w io.Writer, bar *progressbar.ProgressBar, what string) (end func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	start := time.Now()
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				_ = bar.Add(1)
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		_ = bar.Finish()
		fmt.Fprintf(w, "%s %.1f s\n", what, time.Since(start).Seconds())
	}
}
