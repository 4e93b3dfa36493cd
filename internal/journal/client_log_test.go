package journal

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTheSameIsSaidOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s seldom
		for _, step := range []struct {
			after time.Duration
			what  string
			may   bool
		}{
			{0, "a", true}, {0, "a", false}, {0, "b", true},
			{sayAgain - 1, "a", false}, {1, "a", true}, {0, "a", false}, {0, "b", true},
		} {
			time.Sleep(step.after)
			if may := s.may(step.what); may != step.may {
				t.Errorf("%s after %s more: %t", step.what, step.after, may)
			}
		}
	})
}
