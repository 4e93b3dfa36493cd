package main

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow to five times what is live between collections:
// what is live is small (lanes, waiting requests), and collecting it again and again
// costs a twentieth of the CPU under load. GOGC and GOMEMLIMIT have the last word.
const gcPercent = 400

func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
