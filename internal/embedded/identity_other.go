//go:build unix && !linux

package embedded

import "syscall"

// attributes of a process that runs as the identity, in a process group of its own. These systems cannot tie a process to its
// parent's life: what a kill -9 of this process leaves running, the next start on its directory stops.
func (i identity) attributes(syscall.Signal) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if i.foreign() {
		attributes.Credential = &syscall.Credential{Uid: uint32(i.uid), Gid: uint32(i.gid)}
	}
	return attributes
}

// searchCapabilities returns nil: there are no capabilities to give.
func searchCapabilities() []uintptr { return nil }
