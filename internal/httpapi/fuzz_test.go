package httpapi

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

func checkFaults(t *testing.T, faults []wallet.FieldError) {
	if len(faults) > maxFaults+4 { // what is missing is told beyond the bound
		t.Fatalf("%d faults", len(faults))
	}
	for _, fault := range faults {
		if fault.Detail == "" || !utf8.ValidString(fault.Field) || len(fault.Field) > 2*maxFieldNameBytes {
			t.Fatalf("fault %q: %q", fault.Field, fault.Detail)
		}
	}
}

func FuzzBulk(f *testing.F) {
	one := `{"operationType":"DEPOSIT","amount":1,"idempotencyKey":"a"}`
	for _, body := range []string{"[" + one + "]", one + "\n" + one, "[" + one + "," + one + ",]", "[]", "", "[[[[", `[{"walletId":"x"},7]`, one + "\n{"} {
		f.Add([]byte(body), false)
		f.Add([]byte(body), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, lines bool) {
		ops, _, faults := decodeBulk(body, alice, lines)
		checkFaults(t, faults)
		if len(faults) > 0 {
			return
		}
		if len(ops) == 0 || len(ops) > maxBulkOperations {
			t.Fatalf("%q is %d operations", body, len(ops))
		}
		for _, op := range ops {
			if op.WalletID != alice || op.ID == uuid.Nil || !op.Amount.Valid() || op.Type.String() == "" {
				t.Fatalf("%q has %+v", body, op)
			}
		}
	})
}

func FuzzPrefer(f *testing.F) {
	for _, s := range []string{"wait=5", "respond-async", `respond-async, wait="10"; x=y`, "wait=99999999999999999999", `a="\",wait=1"`, "wait=", ",;=", "WAIT = 3"} {
		f.Add(s, "wait=1")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		p := parsePrefer([]string{first, second})
		if w := p.wait(0); w < 0 || w > wallet.MaxWait {
			t.Fatalf("%q, %q: wait %s", first, second, w)
		}
		if again := parsePrefer([]string{p.applied()}); again != p {
			t.Fatalf("%q, %q: applied %q is %+v, not %+v", first, second, p.applied(), again, p)
		}
	})
}

func FuzzCursor(f *testing.F) {
	for _, c := range []wallet.Cursor{{Position: 1}, {Sequence: 9}, {Position: 1<<63 - 1, Sequence: 1<<63 - 1}} {
		f.Add(formatCursor(alice, c))
	}
	for _, s := range []string{"", "djIuMC4wLjVhNjk3ODg3", "djIuMDEuMS41YTY5Nzg4Nw", "!!", "djIuMC4yLjVhNjk3ODg3="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := parseCursor(alice, text)
		if ok && (formatCursor(alice, c) != text || c.Position < 0 || c.Sequence < 0) {
			t.Fatalf("%q is %+v", text, c)
		}
	})
}

func FuzzReceipt(f *testing.F) {
	for _, s := range []string{"0-0", "11-9223372036854775807", "2147483648-1", "-1-1", "1", "1-", "-", "1-2-3", "+1-1", " 1-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := wallet.ParseReceipt(text)
		if !ok {
			return
		}
		_, shown, _ := strings.Cut(operationLocation(&wallet.Operation{Receipt: r}), "?journal=")
		if again, ok := wallet.ParseReceipt(shown); !r.Known() || !ok || again != r {
			t.Fatalf("%q is %+v, shown as %q", text, r, shown)
		}
	})
}
