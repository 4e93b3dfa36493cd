package importer

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"

	"github.com/walletd/walletd/internal/wallet"
)

// walletKey is the idempotency key that makes an account's wallet.
func walletKey(name, account string) string { return key("import", name, "account", account) }

// rowKey is the idempotency key of a row's operation; it is scoped to the wallet.
func rowKey(name, id string) string { return key("import", name, "row", id) }

// key joins parts so that different parts never give the same key. They are
// escaped to visible ASCII, and what is too long is replaced by its hash.
func key(parts ...string) string {
	joined := ""
	for _, part := range parts {
		joined += "/" + url.PathEscape(part)
	}
	joined = joined[1:]
	if wallet.CheckKey(joined) == nil {
		return joined
	}
	sum := sha256.Sum256([]byte(joined))
	return "import-sha256/" + hex.EncodeToString(sum[:])
}
