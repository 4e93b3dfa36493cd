package importer

import (
	"strings"
	"testing"

	"github.com/walletd/walletd/internal/wallet"
)

func TestKeysAreValidAndDistinct(t *testing.T) {
	long := strings.Repeat("x", 300)
	keys := []string{walletKey("a", "b"), rowKey("a", "b"), rowKey("a/row/b", "c"), rowKey("a", "b/row/c"),
		rowKey("a", "účet 1"), rowKey("a", "účet%201"), rowKey("a", long), rowKey("a", long+"y")}
	seen := map[string]bool{}
	for _, k := range keys {
		if err := wallet.CheckKey(k); err != nil {
			t.Errorf("%q %v", k, err)
		}
		if seen[k] {
			t.Errorf("%q twice", k)
		}
		seen[k] = true
	}
	if keys[0] != "import/a/account/b" {
		t.Errorf("got %q: the keys of earlier imports would be lost", keys[0])
	}
}
