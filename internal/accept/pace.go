package accept

import "time"

// paceWindow is how long is counted, at least, for a pace.
const paceWindow = time.Second

// pace is how fast things get done, counted over the present window and the one
// before. The outcomes of a commit come all at once, at its end: so a window begins at the
// end of one, and counts each later commit together with the time that it took.
type pace struct {
	before  time.Time // began the window before
	earlier int       // done in it
	began   time.Time // of the present window
	done    int       // in it
	last    time.Time // something was done
}

func newPace(now time.Time) pace { return pace{before: now, began: now, last: now} }

// add notes that n more were done since the last time.
func (p *pace) add(now time.Time, n int) {
	if n == 0 {
		return
	}
	if now.Sub(p.began) >= paceWindow && p.last.After(p.began) {
		p.before, p.earlier = p.began, p.done
		p.began, p.done = p.last, 0
	}
	p.done += n
	p.last = now
}

// stallAfter is how long a commit may take, counting nothing until its end; nothing done for
// longer is a stall.
const stallAfter = 2 * time.Second

// perSecond returns 0 until something was done. During a stall the rate falls. Afterwards the
// current window's own rate is used as soon as that is long enough and the higher of the two.
func (p *pace) perSecond(now time.Time) float64 {
	until := now
	if now.Sub(p.last) < stallAfter && p.last.After(p.before) {
		until = p.last
	}
	rate := over(p.earlier+p.done, until.Sub(p.before))
	if d := now.Sub(p.began); d >= paceWindow/5 {
		rate = max(rate, over(p.done, d))
	}
	return rate
}

func over(n int, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
