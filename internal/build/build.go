// Package build says which version of walletd a program is of.
package build

import "runtime/debug"

// stamped is set by the build: -ldflags "-X github.com/walletd/walletd/internal/build.stamped=…".
var stamped = ""

// Version is the stamped version, or else what the Go tool knows of the build.
func Version() string {
	if stamped != "" {
		return stamped
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
