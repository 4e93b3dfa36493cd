package wallet_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/walletd/walletd/internal/wallet"
)

func TestInPartsLeavesOutOnlyWhatIsRefusedAlone(t *testing.T) {
	t.Parallel()
	errAway := errors.New("away")
	for name, c := range map[string]struct {
		refused           []int
		away              int // the item that ends it
		calls, mostCalled int
		want              []int
		passed            int
		err               error
	}{
		"nothing is refused": {calls: 1, mostCalled: 1, want: []int{1, 2, 3, 4, 5, 6, 7, 8}, passed: 8},
		"one":                {refused: []int{5}, calls: 100, mostCalled: 7, want: []int{1, 2, 3, 4, 6, 7, 8}, passed: 8, err: wallet.ErrRefused},
		"the first and last": {refused: []int{1, 8}, calls: 100, mostCalled: 11, want: []int{2, 3, 4, 5, 6, 7}, passed: 8, err: wallet.ErrRefused},
		"all":                {refused: []int{1, 2, 3, 4, 5, 6, 7, 8}, calls: 100, mostCalled: 11, passed: 8, err: wallet.ErrRefused},
		"no calls are left":  {refused: []int{3, 8}, calls: 6, mostCalled: 6, want: []int{1, 2}, passed: 3, err: wallet.ErrRefused},
		"another error":      {refused: []int{1}, away: 2, calls: 100, mostCalled: 5, passed: 1, err: errAway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []int
			called := 0
			passed, err := wallet.InParts([]int{1, 2, 3, 4, 5, 6, 7, 8}, c.calls, func(some []int) error {
				called++
				if slices.ContainsFunc(some, func(i int) bool { return slices.Contains(c.refused, i) }) {
					return fmt.Errorf("%w: a damaged block", wallet.ErrRefused)
				}
				if slices.Contains(some, c.away) {
					return errAway
				}
				got = append(got, some...)
				return nil
			})
			if !slices.Equal(got, c.want) || passed != c.passed || !errors.Is(err, c.err) || called > c.mostCalled {
				t.Errorf("got %v, passed %d, %v, in %d calls", got, passed, err, called)
			}
		})
	}
}
