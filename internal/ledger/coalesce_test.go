package ledger

import (
	"slices"
	"sync"
	"testing"

	"github.com/walletd/walletd/internal/wallet"
)

// A statement that is refused for one key, whose block is damaged, is so for no other.
func TestAKeyThatCannotBeReadFailsNoOthers(t *testing.T) {
	t.Parallel()
	joined, release := make(chan int, 100), make(chan struct{})
	c := coalescer[int, string]{read: func(keys []int) (map[int]string, error) {
		joined <- len(keys)
		<-release
		if slices.Contains(keys, 13) {
			return nil, wallet.ErrRefused
		}
		found := map[int]string{}
		for _, k := range keys {
			found[k] = "found"
		}
		return found, nil
	}}
	var asking sync.WaitGroup
	for k := range 20 {
		asking.Go(func() {
			value, found, err := c.get(t.Context(), k)
			if bad := k == 13; bad != (err != nil) || bad == found || !bad && value != "found" {
				t.Errorf("key %d: %q, %t, %v", k, value, found, err)
			}
		})
	}
	<-joined
	close(release) // whoever was not in the first statement shares the second, or a later one
	asking.Wait()
}
