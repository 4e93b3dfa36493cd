package wallet

import "testing"

func TestAReceiptIsReadAsItIsWritten(t *testing.T) {
	for _, r := range []Receipt{{0, 0}, {11, 1 << 62}, {1<<31 - 1, 1<<63 - 1}} {
		if got, ok := ParseReceipt(r.String()); !ok || got != r {
			t.Errorf("%s: %+v, %t", r, got, ok)
		}
	}
	for _, text := range []string{"", "-", "1", "1-", "-1", "1-2-3", "+1-2", "1--2", "1-+2", "0x1-1", "1_0-1", "2147483648-0", "0-9223372036854775808", "00000000001-1", "1-00000000000000000001", NoReceipt.String()} {
		if got, ok := ParseReceipt(text); ok || got != NoReceipt {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
