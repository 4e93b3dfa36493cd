package progress

import (
	"fmt"
	"time"
)

// line writes the count, the rate since the start and the time that the rest
// takes at that rate.
func line(o Options, start time.Time) func(done int64, last bool) {
	return func(done int64, _ bool) {
		text := fmt.Sprintf("%s: %d %s", o.Title, done, o.Unit)
		if o.Total > 0 {
			text = fmt.Sprintf("%s: %d of %d %s", o.Title, done, o.Total, o.Unit)
		}
		rate := float64(done) / max(time.Since(start).Seconds(), 1e-3)
		text += fmt.Sprintf(", %.0f/s", rate)
		if left := o.Total - done; left > 0 && rate > 0 {
			seconds := float64(left) / rate
			text += fmt.Sprintf(", %s left", time.Duration(seconds*float64(time.Second)).Round(time.Second))
		}
		fmt.Fprintln(o.To, text)
	}
}
