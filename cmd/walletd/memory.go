package main

import (
	"os"
	"runtime/debug"

	"github.com/walletd/walletd/internal/config"
	"github.com/walletd/walletd/internal/httpapi"
)

// gcPercent lets the heap grow to five times what is live between collections:
// what is live is small (lanes, waiting requests), and collecting it again and again
// costs a twentieth of the CPU under load. GOGC and GOMEMLIMIT have the last word.
const gcPercent = 400

// What the bounds come to in memory, each as measured and rounded up. docs/operations.md
// has the formula; e2e TestOverload and TestSlowClients hold walletd to it.
const (
	baseBytes       = 112 << 20 // program, lanes, connections to the components
	unmanagedBytes  = 48 << 20  // of these: what the collector does not see
	connectionBytes = 48 << 10  // with the longest header, a body that is not long, and its goroutine
	requestBytes    = 2 << 10   // that waits for its outcome
	unsettledBytes  = 256
)

// maxMemory is the resident memory, in bytes, that walletd stays below at its bounds.
func maxMemory(cfg config.Config) int64 {
	return baseBytes + httpapi.SharedBytes + int64(cfg.Connections)*connectionBytes +
		int64(cfg.Operations)*requestBytes + int64(applierLimits(cfg).Unsettled)*unsettledBytes
}

// collectLess has the collector work seldom, and often where memory nears its bound.
func collectLess(cfg config.Config) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(maxMemory(cfg) - unmanagedBytes)
	}
}
