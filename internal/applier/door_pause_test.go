package applier

import (
	"testing"
)

// shutDoor is a door of 10 that told the reader to pause at its bound.
func shutDoor(t *testing.T) *door {
	t.Helper()
	d := newDoor(0, 10)
	if d.fetched(span(0, 10)) {
		t.Fatal("not paused at the bound")
	}
	return d
}

// leave takes operations until n are left, and reports whether the reader was told
// to resume.
func leave(t *testing.T, d *door, n int) (resumed bool) {
	t.Helper()
	for d.held > n {
		_, resume, ok := d.take(t.Context(), 1)
		if !ok {
			t.Fatal("nothing to take")
		}
		resumed = resumed || resume
	}
	return resumed
}

// The worker may take everything, and say resume, between the reader's being told
// to pause and its pausing: asked once more after that, the door says go on.
func TestAResumeBeforeThePauseIsNotLost(t *testing.T) {
	d := shutDoor(t)
	if !leave(t, d, 0) {
		t.Fatal("no resume")
	}
	if !d.mayFetch() {
		t.Error("the reader stays paused, and nobody will resume it")
	}
}

// While no resume was said, one will be: the reader stays paused.
func TestThePauseHoldsUntilTheResumeIsSaid(t *testing.T) {
	d := shutDoor(t)
	if d.mayFetch() {
		t.Error("resumed at the bound")
	}
	if leave(t, d, 7) {
		t.Fatal("resumed above half")
	}
	if d.mayFetch() {
		t.Error("resumed above half, and will be a second time")
	}
	if !leave(t, d, 0) || !d.mayFetch() {
		t.Error("not resumed")
	}
}

// What the reader had fetched before it paused still comes: that there is room for
// it does not take the promised resume back.
func TestRecordsThatComeDuringThePauseDoNotEndIt(t *testing.T) {
	d := shutDoor(t)
	leave(t, d, 7)
	if d.fetched(span(10, 11)) {
		t.Error("the reader, which is paused, was told to go on")
	}
	if !leave(t, d, 0) {
		t.Error("nobody resumes the paused reader")
	}
}
