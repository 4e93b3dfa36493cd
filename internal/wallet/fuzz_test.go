package wallet_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// An Idempotency-Key is taken exactly if it is 1 to 255 visible ASCII characters, and
// gives the UUIDv5 that the library makes of it.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"", "order-1", " ", "ключ", "a\x7f", strings.Repeat("k", wallet.MaxKeyBytes), strings.Repeat("k", wallet.MaxKeyBytes+1)} {
		f.Add(s)
	}
	id := uuid.MustParse("8a6e2f5c-4b6d-4f0e-9d39-6f1f0c3b7a11")
	f.Fuzz(func(t *testing.T, key string) {
		bad := strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' })
		taken := wallet.CheckKey(key) == nil
		if taken != (len(key) >= 1 && len(key) <= 255 && !bad) {
			t.Fatalf("%q is taken: %t", key, taken)
		}
		if taken && wallet.OperationID(id, key) != uuid.NewSHA1(id, []byte(key)) {
			t.Fatalf("%q gives %s", key, wallet.OperationID(id, key))
		}
	})
}

func FuzzID(f *testing.F) {
	for _, s := range []string{"8a6e2f5c-4b6d-4f0e-9d39-6f1f0c3b7a11", "00000000-0000-0000-0000-000000000000", "{8a6e2f5c-4b6d-4f0e-9d39-6f1f0c3b7a11}", "8a6e2f5c4b6d4f0e9d396f1f0c3b7a11", "8A6E2F5C-4B6D-4F0E-9D39-6F1F0C3B7A11"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, ok := wallet.ParseID(text)
		if ok && (id == uuid.Nil || !strings.EqualFold(id.String(), text)) {
			t.Fatalf("%q is %s", text, id)
		}
	})
}
