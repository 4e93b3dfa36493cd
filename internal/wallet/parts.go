package wallet

import "errors"

// InParts calls do with all items together. A part that is refused is halved, down to one item,
// so that one item that cannot be read does not keep the others from being read. Parts come in
// order, and do is called calls times at most.
//
// It returns how many items, from the first on, it got through, refused single ones among them,
// and the last refusal. Any other error ends it and is returned.
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
