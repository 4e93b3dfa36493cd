//go:build !linux

package load

import "time"

// newSleep returns the runtime's sleep.
func newSleep() (sleep func(time.Duration), stop func()) { return time.Sleep, func() {} }
