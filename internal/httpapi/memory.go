package httpapi

import (
	"sync/atomic"
	"time"

	"github.com/walletd/walletd/internal/wallet"
)

// SharedBytes is what long bodies, long lists and bulks may hold in memory at once, all
// requests together: clients that send or read slowly keep it for as long as the
// timeouts allow. Beyond it 429.
const SharedBytes = 64 << 20

const (
	freeBytes           = 4 << 10 // what is shorter does not count, and is never refused for that
	usualOperationBytes = 1_000   // of a list or a bulk, as read and as written
)

// memoryBudget counts the bytes that long bodies and lists hold.
type memoryBudget struct{ held atomic.Int64 }

// reserveOperations reserves what so many operations hold, and returns what gives it back.
func (m *memoryBudget) reserveOperations(n int) (give func(), err error) {
	long := max(0, n*usualOperationBytes-freeBytes)
	return func() { m.release(long) }, m.reserve(long)
}

// reserve reserves bytes, which release gives back when they are free again.
func (m *memoryBudget) reserve(n int) error {
	if m.held.Add(int64(n)) > SharedBytes {
		m.release(n)
		return &wallet.Error{Code: wallet.CodeOverloaded, Fate: wallet.NotApplied, RetryAfter: time.Second,
			Detail: "too many long bodies, lists or bulks are under way"}
	}
	return nil
}

func (m *memoryBudget) release(n int) { m.held.Add(-int64(n)) }
