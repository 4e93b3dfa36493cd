package httpapi

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/walletd/walletd/internal/wallet"
)

// cursorVersion leads a cursor's text, so that another form can come later and a
// cursor of this one still be told from it.
const cursorVersion = "v1"

// formatCursor hides c in a text that clients pass back as it is.
func formatCursor(c wallet.Cursor) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s.%d.%d", cursorVersion, c.Position, c.Sequence))
}

// parseCursor reads what formatCursor wrote, and nothing else.
func parseCursor(s string) (wallet.Cursor, bool) {
	text, err := base64.RawURLEncoding.DecodeString(s)
	parts := strings.Split(string(text), ".")
	if err != nil || len(parts) != 3 {
		return wallet.Cursor{}, false
	}
	position, okP := parseDigits(parts[1], 63)
	sequence, okS := parseDigits(parts[2], 63)
	c := wallet.Cursor{Position: position, Sequence: sequence}
	if !okP || !okS || c == (wallet.Cursor{}) || formatCursor(c) != s {
		return wallet.Cursor{}, false
	}
	return c, true
}
