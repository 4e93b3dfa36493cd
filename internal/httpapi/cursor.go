package httpapi

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// cursorVersion leads a cursor's text, so that another form can come later and a
// cursor of this one still be told from it.
const cursorVersion = "v2"

// formatCursor hides c in a text that clients pass back as it is. It bears a part of the
// wallet's id: in the list of another wallet it would be a place of no meaning.
func formatCursor(id uuid.UUID, c wallet.Cursor) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s.%d.%d.%x", cursorVersion, c.Position, c.Sequence, id[12:]))
}

// parseCursor reads what formatCursor wrote for this wallet, and nothing else.
func parseCursor(id uuid.UUID, s string) (wallet.Cursor, bool) {
	text, err := base64.RawURLEncoding.DecodeString(s)
	parts := strings.Split(string(text), ".")
	if err != nil || len(parts) != 4 {
		return wallet.Cursor{}, false
	}
	position, okP := parseSequence(parts[1])
	sequence, okS := parseSequence(parts[2])
	c := wallet.Cursor{Position: position, Sequence: sequence}
	if !okP || !okS || c == (wallet.Cursor{}) || formatCursor(id, c) != s {
		return wallet.Cursor{}, false
	}
	return c, true
}
