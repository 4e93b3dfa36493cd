//go:build unix

package embedded

import (
	"slices"
	"syscall"
	"time"
)

// settleTimeout bounds the wait for processes to be seen stopped or gone after a signal that they cannot refuse.
const settleTimeout = 10 * time.Second

// process is one line of the system's process table.
type process struct {
	pid, ppid int
	state     byte // of ps: T is stopped, Z and X are dead
}

func (p process) dead() bool { return p.state == 'Z' || p.state == 'X' }

// kill ends the process and all its descendants with SIGKILL and returns when none is left. The tree is frozen first, so
// that nothing is forked out of it meanwhile. (A process group would not do: each PostgreSQL backend makes its own.)
func (c *child) kill() {
	if c.ended() {
		return
	}
	frozen := c.freeze()
	for _, pid := range frozen {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	c.signal(syscall.SIGKILL)
	<-c.done
	settle(frozen, process.dead)
}

// pause stops the process and all its descendants with SIGSTOP; none of them runs when it returns.
func (c *child) pause() {
	if !c.ended() {
		c.freeze()
	}
}

// resume lets a paused process and its descendants run on.
func (c *child) resume() {
	if c.ended() {
		return
	}
	for _, pid := range descendants(c.pid()) {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	c.signal(syscall.SIGCONT)
}

// freeze stops the process, then its descendants until none is new, and returns the descendants.
func (c *child) freeze() []int {
	c.signal(syscall.SIGSTOP)
	settle([]int{c.pid()}, process.halted)
	var frozen []int
	for {
		pids := descendants(c.pid())
		grown := false
		for _, pid := range pids {
			if !slices.Contains(frozen, pid) {
				_ = syscall.Kill(pid, syscall.SIGSTOP)
				frozen, grown = append(frozen, pid), true
			}
		}
		if !grown {
			return frozen
		}
		settle(pids, process.halted)
	}
}

func (p process) halted() bool { return p.state == 'T' || p.dead() }

// settle waits until all that is left of pids is in a state that done accepts.
func settle(pids []int, done func(process) bool) {
	deadline := time.NewTimer(settleTimeout)
	defer deadline.Stop()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for len(pids) > 0 && !all(pids, done) {
		select {
		case <-ticker.C:
		case <-deadline.C:
			return
		}
	}
}

func all(pids []int, done func(process) bool) bool {
	for _, p := range processes() {
		if slices.Contains(pids, p.pid) && !done(p) {
			return false
		}
	}
	return true
}

// descendants returns the pids of all processes under pid that live.
func descendants(pid int) []int {
	table := processes()
	var found []int
	parents := []int{pid}
	for len(parents) > 0 {
		parent := parents[0]
		parents = parents[1:]
		for _, p := range table {
			if p.ppid == parent && !p.dead() {
				found, parents = append(found, p.pid), append(parents, p.pid)
			}
		}
	}
	return found
}
