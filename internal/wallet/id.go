package wallet

import (
	"bytes"
	"crypto/sha1"
	"errors"

	"github.com/google/uuid"
)

// createNamespace separates wallet ids derived from keys from all other UUIDv5 names.
var createNamespace = uuid.MustParse("8a6e2f5c-4b6d-5f0e-9d39-6f1f0c3b7a11")

// MaxKeyBytes bounds an idempotency key.
const MaxKeyBytes = 255

// ErrKey is the fault of an idempotency key that is empty, too long or not visible ASCII.
var ErrKey = errors.New("must be 1 to 255 visible ASCII characters")

// CheckKey reports whether key may be an idempotency key: 1–255 visible ASCII characters.
func CheckKey(key string) error {
	if len(key) < 1 || len(key) > MaxKeyBytes {
		return ErrKey
	}
	for _, c := range []byte(key) {
		if c < 0x21 || c > 0x7e {
			return ErrKey
		}
	}
	return nil
}

// OperationID returns the id of the operation that a request asks for: the
// UUIDv5 (RFC 9562 §5.5) of wallet and key, the same for ever, or without a key
// a new UUIDv7.
func OperationID(walletID uuid.UUID, key string) uuid.UUID {
	if key == "" {
		return uuid.Must(uuid.NewV7())
	}
	return named(walletID, key)
}

// IsKeyed reports whether an id is made of an idempotency key, so that another request
// may have asked for the same.
func IsKeyed(id uuid.UUID) bool { return id.Version() == namedVersion }

const namedVersion = 5

// named is uuid.NewSHA1 without its allocations: a bulk has a thousand keys.
func named(space uuid.UUID, name string) (id uuid.UUID) {
	var room [len(space) + MaxKeyBytes]byte
	sum := sha1.Sum(append(append(room[:0], space[:]...), name...))
	copy(id[:], sum[:])
	id[6], id[8] = id[6]&0x0f|namedVersion<<4, id[8]&0x3f|0x80
	return id
}

// NewWalletID returns the id of a wallet that is to be created: the UUIDv5 of the key, the same
// for ever, or without a key a new UUIDv7.
func NewWalletID(key string) uuid.UUID {
	if key == "" {
		return uuid.Must(uuid.NewV7())
	}
	return named(createNamespace, key)
}

// ParseID reads a UUID in its canonical form: 36 characters, lower or upper case
// hexadecimal, not nil.
func ParseID(s string) (uuid.UUID, bool) {
	if len(s) != 36 {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(s)
	return id, err == nil && id != uuid.Nil
}

// CompareIDs orders UUIDs as PostgreSQL does: by their bytes.
func CompareIDs(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }
