package load

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// newSleep returns a sleep that is exact to some 50 µs, for one goroutine. The
// runtime's own waits for epoll, whose timeout is in whole milliseconds: at 1000
// requests a second that alone would add half a millisecond to the median. A
// timer that is a file wakes epoll at its time.
func newSleep() (sleep func(time.Duration), stop func()) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return time.Sleep, func() {}
	}
	timer := os.NewFile(uintptr(fd), "timer")
	var expirations [8]byte
	return func(d time.Duration) {
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(1, d.Nanoseconds()))} // 0 would disarm it
		if err := unix.TimerfdSettime(fd, 0, &spec, nil); err != nil {
			time.Sleep(d)
			return
		}
		if _, err := timer.Read(expirations[:]); err != nil {
			time.Sleep(d)
		}
	}, func() { timer.Close() }
}
