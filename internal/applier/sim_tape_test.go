package applier_test

import (
	"math/rand/v2"
	"slices"
)

// tape is every choice of a simulation: drawn from a seed and noted, or given.
// Beyond its end all choices are 0, which is the calm one: so a shorter tape is a
// shorter simulation.
type tape struct {
	random *rand.Rand
	noted  []uint16
	at     int
}

func seeded(seed uint64) *tape { return &tape{random: rand.New(rand.NewPCG(seed, 1))} }

func given(choices []uint16) *tape { return &tape{noted: choices} }

// draw chooses one of 0 … n-1.
func (t *tape) draw(n int) int {
	if t.at == len(t.noted) {
		if t.random == nil {
			return 0
		}
		t.noted = append(t.noted, uint16(t.random.IntN(n)))
	}
	t.at++
	return int(t.noted[t.at-1]) % n
}

// chance is true in so many of a hundred cases.
func (t *tape) chance(percent int) bool { return t.draw(100) >= 100-percent }

// shrink returns shorter and calmer choices that still fail, trying at most so often.
func shrink(choices []uint16, tries int, fails func([]uint16) bool) []uint16 {
	better := func(shorter []uint16) bool {
		if tries--; tries < 0 || !fails(shorter) {
			return false
		}
		choices = shorter
		return true
	}
	for size := len(choices); size > 0; {
		done := false
		for at := 0; at+size <= len(choices); {
			if !better(slices.Delete(slices.Clone(choices), at, at+size)) {
				at += size
			} else {
				done = true
			}
		}
		if !done || size > 1 {
			size /= 2
		}
	}
	for i := range choices {
		if choices[i] > 0 {
			calmer := slices.Clone(choices)
			calmer[i] = 0
			better(calmer)
		}
	}
	return choices
}
