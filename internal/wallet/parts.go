package wallet

import "errors"

// InParts has do ask the ledger for all items together and, where that is refused, for ever
// fewer, down to a single one: what cannot be read of one must not keep the others from being
// read. It calls do for items in their order, calls times at most.
//
// It returns how many items, from the first on, it has got through, refused ones among them,
// and the last refusal. Any other error ends it.
func InParts[T any](items []T, calls int, do func([]T) error) (passed int, refusal error) {
	for n := len(items); passed < len(items) && calls > 0; calls-- {
		n = min(n, len(items)-passed)
		err := do(items[passed : passed+n])
		switch {
		case err == nil:
			passed += n
			n *= 2
		case !errors.Is(err, ErrRefused):
			return passed, err
		case n > 1:
			refusal = err
			n /= 2
		default:
			refusal = err
			passed++
		}
	}
	return passed, refusal
}
