package wallet_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/walletd/walletd/internal/wallet"
)

func TestAKeyIsOneTo255VisibleASCIICharacters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringOfN(rapid.RuneFrom(nil, visible), 1, wallet.MaxKeyBytes, -1).Draw(t, "key")
		if err := wallet.CheckKey(key); err != nil {
			t.Fatalf("%q: %v", key, err)
		}
		bad := rapid.SampledFrom([]string{" ", "\t", "\n", "\x00", "\x7f", "é", "\xff"}).Draw(t, "bad")
		place := rapid.IntRange(0, len(key)).Draw(t, "place")
		if wallet.CheckKey(key[:place]+bad+key[place:]) == nil {
			t.Fatalf("%q with %q at %d is accepted", key, bad, place)
		}
	})
	for _, key := range []string{"", strings.Repeat("k", wallet.MaxKeyBytes+1)} {
		if wallet.CheckKey(key) == nil {
			t.Errorf("a key of %d characters is accepted", len(key))
		}
	}
}

func TestAKeyGivesOneWalletTheSameOperationForEver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, other := uuid.New(), uuid.New()
		key := rapid.StringOfN(rapid.RuneFrom(nil, visible), 1, wallet.MaxKeyBytes, -1).Draw(t, "key")
		id := wallet.OperationID(w, key)
		if id != wallet.OperationID(w, key) || id.Version() != 5 {
			t.Fatalf("%q: %s, then %s", key, id, wallet.OperationID(w, key))
		}
		if id == wallet.OperationID(other, key) || id == wallet.OperationID(w, key+"x") || id == wallet.NewWalletID(key) {
			t.Fatalf("%q: %s is also another wallet's, key's or creation's", key, id)
		}
		if created := wallet.NewWalletID(key); created != wallet.NewWalletID(key) || created.Version() != 5 {
			t.Fatalf("%q: %s, then %s", key, created, wallet.NewWalletID(key))
		}
	})
}

// The ids of years ago must come out again: these are written down, not computed.
func TestDerivedIDsNeverChange(t *testing.T) {
	w := uuid.MustParse("6f9619ff-8b86-4d01-b42d-00cf4fc964ff")
	if got := wallet.OperationID(w, "order-1").String(); got != "59343c53-fc43-55b9-8202-5e7a630089e0" {
		t.Errorf("operation: %s", got)
	}
	if got := wallet.NewWalletID("order-1").String(); got != "571df272-9738-5110-b9dc-af2074940b04" {
		t.Errorf("creation: %s", got)
	}
}

func TestWithoutAKeyEveryIDIsNewAndOrderedByTime(t *testing.T) {
	w := uuid.New()
	seen := map[uuid.UUID]bool{}
	for range 1000 {
		for _, id := range []uuid.UUID{wallet.OperationID(w, ""), wallet.NewWalletID("")} {
			if seen[id] || id.Version() != 7 {
				t.Fatalf("%s, version %d", id, id.Version())
			}
			seen[id] = true
		}
	}
}

func TestParseIDTakesTheCanonicalFormOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		text := id.String()
		for _, s := range []string{text, strings.ToUpper(text)} {
			if got, ok := wallet.ParseID(s); ok != (id != uuid.Nil) || ok && got != id {
				t.Fatalf("%q: %s, %t", s, got, ok)
			}
		}
		for _, s := range []string{
			"{" + text + "}", "urn:uuid:" + text, strings.ReplaceAll(text, "-", ""), text + " ", " " + text[1:],
			text[:35], text[:35] + "g", strings.Replace(text, "-", "_", 1), text[1:8] + "-" + text[8:],
		} {
			if got, ok := wallet.ParseID(s); ok && s != text {
				t.Fatalf("%q is taken for %s", s, got)
			}
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		if id, ok := wallet.ParseID(s); ok && !strings.EqualFold(id.String(), s) {
			t.Fatalf("%q is taken for %s", s, id)
		}
	})
}

// visible are the characters that a key may have.
var visible = &unicode.RangeTable{R16: []unicode.Range16{{Lo: 0x21, Hi: 0x7e, Stride: 1}}, LatinOffset: 1}
