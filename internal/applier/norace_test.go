//go:build !race

package applier_test

const raceDetector = false
