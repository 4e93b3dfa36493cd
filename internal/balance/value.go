package balance

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// Redis keeps three numbers of a wallet: sequence, balance, and time in microseconds. A
// negative sequence is a note without a balance: existsNote says that the wallet exists, and
// -(n+1) also that the ledger was seen at sequence n, so that a later put must be at least
// that new.
const existsNote = -1

// madeNote is the balance in the note of a wallet that a request without a key has made, which
// is not in the ledger yet: it is empty, unless something has come after.
const madeNote = 1

// existsFor is how long Redis keeps that a wallet exists of which nothing else is known:
// the ledger may be away or behind for long.
const existsFor = 24 * time.Hour

// onlyExists reports whether nothing more is kept of the wallet.
func onlyExists(w wallet.Wallet) bool { return w.Sequence <= existsNote }

// justMade returns the wallet, empty, if it is a note that it was made no longer ago than
// a balance may be old.
func (c *Cache) justMade(w wallet.Wallet) (wallet.Wallet, bool) {
	ok := w.Sequence == existsNote && w.Balance == madeNote && c.config.Now().Sub(w.UpdatedAt) <= c.config.TTL
	w.State = wallet.State{}
	return w, ok
}

// format is a value as Redis keeps it.
func format(w wallet.Wallet) string {
	b := make([]byte, 0, 56)
	b = strconv.AppendInt(b, w.Sequence, 10)
	b = strconv.AppendInt(append(b, ' '), int64(w.Balance), 10)
	return string(strconv.AppendInt(append(b, ' '), w.UpdatedAt.UnixMicro(), 10))
}

// parse reads what format writes, and nothing else: a balance that could not be one
// is not served.
func parse(id uuid.UUID, text string) (wallet.Wallet, error) {
	fields := strings.Split(text, " ")
	var n [3]int64
	if len(fields) != len(n) {
		return wallet.Wallet{}, fmt.Errorf("cached balance of %s does not decode", id)
	}
	for i := range n {
		v, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return wallet.Wallet{}, fmt.Errorf("cached balance of %s does not decode: %w", id, err)
		}
		n[i] = v
	}
	w := wallet.Wallet{ID: id, State: wallet.State{Sequence: n[0], Balance: wallet.Amount(n[1])}, UpdatedAt: time.UnixMicro(n[2]).UTC()}
	if w.Balance < 0 || w.Balance > wallet.MaxAmount || format(w) != text {
		return wallet.Wallet{}, fmt.Errorf("cached balance of %s is none: %q", id, text)
	}
	return w, nil
}
