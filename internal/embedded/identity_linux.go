package embedded

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes of a process that runs as the identity, in a process group of its own, and gets the signal when the thread that
// started it ends.
func (i identity) attributes(orphan syscall.Signal) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphan, AmbientCaps: i.caps}
	if i.foreign() {
		attributes.Credential = &syscall.Credential{Uid: uint32(i.uid), Gid: uint32(i.gid)}
	}
	return attributes
}

// searchCapabilities returns the least capability that this process has and that opens directories of others, nil for none.
// Containers often have only the second.
func searchCapabilities() []uintptr {
	effective := effectiveCapabilities()
	for _, capability := range []uintptr{unix.CAP_DAC_READ_SEARCH, unix.CAP_DAC_OVERRIDE} {
		if effective&(1<<capability) != 0 {
			return []uintptr{capability}
		}
	}
	return nil
}

func effectiveCapabilities() (set uint64) {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			_, _ = fmt.Sscanf(value, "%x", &set)
		}
	}
	return set
}
